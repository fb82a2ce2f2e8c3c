"""Complete answers agree with the truth, where a dense grid knows it."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats
from tfrobust.backend import keras
from tfrobust.verifiers import branch_and_bound
from tfrobust.verifiers.branch_and_bound import BranchAndBound
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.subproblems import Subproblems
from tfrobust.verifiers.tree import _halves, grow

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

layers = keras.layers
COUNT, SIDE = 16, 401
AXIS = np.linspace(0, 1, SIDE, dtype=np.float32)
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
ORDERS = {threats.L1: 1, threats.L2: 2, threats.Linf: np.inf}
LENGTHS = {1: np.add, 2: np.hypot, np.inf: np.maximum}


def ways(x, order):
    """The length of the way from every x to every point of the grid."""
    first, second = np.abs(AXIS - x.T[:, :, np.newaxis])
    way = LENGTHS[order](first[:, np.newaxis], second[:, :, np.newaxis])
    return way.reshape(len(x), -1)


def plane(*hidden):
    """A network of points in a square."""
    steps = [keras.Input((2,))]
    for activation in hidden:
        steps += [layers.Dense(8), activation]
    return keras.Sequential([*steps, layers.Dense(3)])


def draw(network, rng):
    """Draws weights anew, such that all classes occur in the square."""
    for variable in network.variables:
        fan = variable.shape[0] if len(variable.shape) > 1 else 3
        value = 2 * rng.normal(size=variable.shape) / np.sqrt(fan)
        variable.assign(value)
    mean = np.mean(network(GRID), axis=0)
    network.variables[-1].assign_sub(mean)


class Case:
    """A network, a threat whose radii can move, and its compiled verifier."""

    def __init__(self, network, norm, **arguments):
        self.network = network
        self.radii = tf.Variable(np.zeros(COUNT, np.float32))
        self.threat = norm(self.radii)
        self.verifier = BranchAndBound(self.threat, **arguments)

    def problems(self, rng):
        """Inputs, labels, and whether the grid knows a wrong point.

        Radii are a little shorter or longer than the way to that point.
        """
        draw(self.network, rng)
        x = rng.uniform(size=(COUNT, 2)).astype(np.float32)
        y = np.argmax(self.network(x), axis=1)
        self.logits = np.asarray(self.network(GRID))
        way = ways(x, ORDERS[type(self.threat)])
        wrong = np.argmax(self.logits, axis=1) != y[:, np.newaxis]
        nearest = np.min(np.where(wrong, way, 0.9), axis=1)
        factors = np.where(np.arange(COUNT) % 2, 0.95, 1.05)
        radii = np.minimum(factors * nearest, 0.9).astype(np.float32)
        self.radii.assign(radii)
        self.inside = way <= radii[:, np.newaxis]
        return x, y, np.any(wrong & self.inside, axis=1)

    def smallest(self, y):
        """The smallest margins on the grid."""
        found = []
        for label, inside in zip(y, self.inside, strict=True):
            logits = self.logits[inside]
            margins = logits[:, [label]] - logits
            found.append(np.min(margins, axis=0, initial=np.inf))
        return np.array(found)


def check(case, answer, x, y, broken):
    """Compares with the grid, and runs counterexamples again."""
    falsified = answer.verdict == "falsified"
    assert not np.any(broken & (answer.verdict == "certified"))
    # The grid may miss what the search finds, so that it must be shown.
    points = answer.counterexample
    logits = np.asarray(case.network(points))
    np.testing.assert_array_equal(np.argmax(logits, axis=1) != y, falsified)
    way = np.linalg.norm(points - x, ORDERS[type(case.threat)], axis=1)
    assert np.all(way <= case.radii.numpy() * (1 + 1e-5) + 1e-7)
    assert np.min(points) >= 0 and np.max(points) <= 1
    np.testing.assert_array_equal(points[~falsified], x[~falsified])
    smallest = case.smallest(y)
    assert np.all(answer.margins <= smallest + 1e-6 * np.max(np.abs(smallest)))
    rivals = np.arange(3) != y[:, np.newaxis]
    positive = np.all((answer.margins > 0) | ~rivals, axis=1)
    np.testing.assert_array_equal(positive, answer.verdict == "certified")
    assert np.all(answer.margins[~rivals] == 0)


@pytest.fixture(scope="module")
def relu():
    network = plane(layers.ReLU(), layers.ReLU())
    return Case(network, threats.Linf, timeout=20.0)


@pytest.mark.builds_keras
def test_verdicts_agree_with_a_grid_next_to_the_boundary(relu):
    rng = np.random.default_rng(0)
    verdicts, visited, loose = [], [], 0
    for _ in range(16):
        x, y, broken = relu.problems(rng)
        answer = relu.verifier.answer(relu.network, x, y)
        check(relu, answer, x, y, broken)
        assert np.all(answer.verdict[broken] == "falsified")
        verdicts += list(answer.verdict)
        visited.append(answer.visited)
        loose += np.sum((answer.visited > 2) & (answer.verdict == "certified"))
    assert "unknown" not in verdicts
    assert min(verdicts.count(v) for v in ("certified", "falsified")) > 100
    # Some proofs needed subdomains.
    assert loose > 5 and np.max(visited) > 6


@pytest.mark.parametrize("norm", [threats.L2, threats.L1])
def test_verdicts_agree_with_a_grid_in_other_norms(norm):
    rng = np.random.default_rng(1)
    network = plane(layers.LeakyReLU(0.1), layers.ReLU())
    case = Case(network, norm, timeout=20.0)
    for _ in range(3):
        x, y, broken = case.problems(rng)
        answer = case.verifier.answer(network, x, y)
        check(case, answer, x, y, broken)
        assert "unknown" not in answer.verdict


@pytest.mark.parametrize(
    ("norm", "function"),
    [
        (threats.Linf, tf.nn.relu),
        (threats.L2, tf.nn.relu),
        (threats.Linf, tf.tanh),
        (threats.L1, tf.sigmoid),
    ],
)
def test_no_point_of_a_subdomain_is_below_its_bound(norm, function):
    rng = np.random.default_rng(8)
    count, grid = 60, GRID[::7]
    network = plane(layers.Activation(function), layers.Activation(function))
    draw(network, rng)
    threat = norm(0.4)
    subproblems = Subproblems(network, threat, (2,), 10, 0.25, 2)
    x = rng.uniform(size=(count, 2)).astype(np.float32)
    y = np.zeros(count, np.int32)
    shared = subproblems.prepare(x, y)
    ends, room, box, _, margins = (np.array(part) for part in shared)
    row = np.tile(np.array([1.0, -1.0, 0.0], np.float32), (count, 1))
    # Subdomains around points of the threat, far ones too, with their signs.
    way = ways(x, ORDERS[norm])[:, ::7]
    inside = way <= 0.4 * (1 - 1e-6)
    gap = -np.diff(np.asarray(network(grid))[:, :2])[:, 0]
    assert np.all(margins[:, 1] <= np.min(np.where(inside, gap, np.inf), 1))
    chosen = np.argmax(inside * rng.uniform(size=way.shape) * way**2, axis=1)
    first, second = (w.numpy() for w in network.variables[:2])
    before = grid @ first + second
    third, fourth = (w.numpy() for w in network.variables[2:4])
    signs = np.sign([before, function(before) @ third + fourth])
    signs = np.concatenate(signs, axis=1)
    decided = np.where(rng.uniform(size=(count, 16)) < 0.3, signs[chosen], 0)
    size = rng.uniform(0.02, 0.5, (count, 1))
    box[:, 0] = np.maximum(box[:, 0], grid[chosen] - size)
    box[:, 1] = np.minimum(box[:, 1], grid[chosen] + size)
    refined = subproblems.refine(ends, box).numpy()
    assert np.all(refined[:, 0] >= ends[:, 0])
    assert np.all(refined[:, 1] <= ends[:, 1])
    assert np.median(np.ptp(refined, 1) / np.ptp(ends, 1)) < 0.9
    state = np.zeros((count, 0), np.float32)
    wide, bounds = (
        subproblems.bound(x, row, known, room, box, decided, state)[0].numpy()
        for known in (ends, refined)
    )
    fits = inside & np.all(grid >= box[:, :1], axis=2)
    fits &= np.all(grid <= box[:, 1:], axis=2)
    for k in range(count):
        fits[k] &= ~np.any(signs * decided[k] < 0, axis=1)
    assert np.all(np.any(fits, axis=1))
    logits = np.asarray(network(grid))
    smallest = np.where(fits, logits[:, 0] - logits[:, 1], np.inf).min(axis=1)
    assert np.all(np.maximum(wide, bounds) <= smallest + 1e-6)
    assert np.mean(bounds) > np.mean(wide)
    # They are close, too.
    assert np.median(smallest - bounds) < 0.1 * np.ptp(logits)


@pytest.mark.parametrize("norm", [threats.Linf, threats.L2])
def test_other_activations_are_split_by_the_input(norm):
    rng = np.random.default_rng(2)
    network = plane(layers.Activation("sigmoid"))
    case = Case(network, norm, timeout=5.0)
    parts = []
    for _ in range(4):
        x, y, broken = case.problems(rng)
        answer = case.verifier.answer(network, x, y)
        check(case, answer, x, y, broken)
        parts += list(answer.visited[answer.verdict == "certified"])
    assert len(parts) > 10 and max(parts) > 4


def flat():
    """Two layers of ReLUs, of 40 features."""
    return [
        keras.Input((5, 8)),
        layers.Flatten(),
        layers.Dense(12, activation="relu"),
        layers.Dense(8, activation="relu"),
        layers.Dense(3),
    ]


def pooled():
    """Maximum pooling, padded and with windows that overlap."""
    return [
        keras.Input((5, 8)),
        layers.Reshape((5, 8, 1)),
        layers.Conv2D(3, 3),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.Flatten(),
        layers.Dense(8, activation="relu6"),
        layers.Dense(3),
    ]


@pytest.mark.parametrize(
    ("make", "epsilon"), [(flat, 0.1), (pooled, 0.04)], ids=["flat", "pooled"]
)
def test_many_features_are_decided_by_signs_alone(make, epsilon):
    rng = np.random.default_rng(3)
    network = keras.Sequential(make())
    for variable in network.variables:
        size = np.sqrt(variable.shape[0])
        variable.assign(2 * rng.normal(size=variable.shape) / size)
    x = rng.uniform(size=(24, 5, 8)).astype(np.float32)
    y = np.argmax(network(x), axis=1)
    threat = threats.Linf(epsilon)
    answer = BranchAndBound(threat, timeout=20.0).answer(network, x, y)
    crown = CROWN(threat).margins(network, x, y).numpy()
    assert np.all(answer.margins >= crown - 1e-5 * np.max(np.abs(crown)))
    rivals = np.arange(3) != y[:, np.newaxis]
    open_before = np.any((crown <= 0) & rivals, axis=1)
    proven = answer.verdict == "certified"
    assert np.sum(open_before & proven) >= 2
    assert np.all(proven[~open_before])
    for _ in range(200):
        moves = rng.choice([-epsilon, epsilon], x.shape).astype(np.float32)
        point = np.clip(x + moves, 0, 1)
        right = np.argmax(network(point), axis=1) == y
        assert np.all(right[proven])


@pytest.fixture(scope="module")
def valley():
    """A network and its compiled verifier."""
    network = keras.Sequential(
        [keras.Input((1,)), layers.Dense(2, activation="relu"), layers.Dense(2)]
    )
    return network, BranchAndBound(threats.Linf(0.9), timeout=20.0)


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.01, "certified"), (-0.01, "falsified")]
)
def test_a_valley_whose_floor_is_known_by_hand(valley, gap, verdict):
    # With z = 2x - 1 the margin is relu(2z) - relu(z + 0.5) + 0.5 + gap, least
    # at z = 0. The best lines bound it by gap - 0.25.
    network, verifier = valley
    weights = [[[4.0, 2.0]], [-2.0, -0.5], [[1.0, 0.0], [-1.0, 0.0]]]
    weights.append([0.5 + gap, 0.0])
    network.set_weights([np.array(w) for w in weights])
    x, y = np.array([[0.9]], np.float32), np.array([0])
    answer = verifier.answer(network, x, y)
    assert answer.verdict == [verdict]
    assert answer.margins[0, 1] <= gap
    if gap > 0:
        assert answer.margins[0, 1] > 0
        assert answer.visited > 1
        margins = verifier.margins(network, x, y)
        np.testing.assert_array_equal(margins, answer.margins)


def test_a_sign_that_costs_nothing_is_split_before_all_is_given_up():
    # What is read with the coefficient 0, as behind a layer switched off, costs
    # nothing. z0 lies in [-0.4, 0.4], z1 = 2 x0 + x1 - 0.8 in [0.1, 1.3].
    weights = tf.constant([[1.0, 2.0], [-1.0, 1.0]])

    def network(x, training=False):
        hidden = tf.nn.relu(x @ weights - [0.0, 0.8])
        return tf.matmul(hidden, tf.zeros([2, 2]))

    subproblems = Subproblems(network, threats.Linf(0.2), (2,), 2, 0.25, 2)
    x = np.full((1, 2), 0.5, np.float32)
    shared = subproblems.prepare(x, np.zeros(1, np.int32))
    ends, room, box, signs, _ = (part.numpy() for part in shared)
    row, state = np.array([[1, -1]], np.float32), np.zeros((1, 0), np.float32)

    def asked(signs):
        given = x, row, ends, room, box, np.float32(signs), state
        return [int(part[0]) for part in subproblems.bound(*given)[1:3]]

    sign, feature = asked([[0.0, 0.0]])
    assert sign == 0 and feature >= 0
    for decided in (1.0, -1.0):
        assert asked([[decided, 0.0]])[0] == -1


def test_a_part_is_closed_only_when_nothing_is_left_to_split():
    signs = np.zeros(3, np.float32)
    many, few = np.zeros((2, 40)), np.zeros((2, 5))
    for box in (many, few):
        box[1] = 1.0
        assert not _halves(signs, box, -1, -1)
        for sign in (-1, 2):
            halves = _halves(signs, box, sign, 3)
            by_feature = sign < 0 or box is few
            assert len(halves) == 2
            for side, (decided, half) in enumerate(halves):
                width = half[1] - half[0]
                assert width[3] == (0.5 if by_feature else 1.0)
                assert decided[2] == (0 if by_feature else 1 - 2 * side)
        assert len(_halves(signs, box, 2, -1)) == 2


def test_a_batch_smaller_than_the_number_of_classes_bounds_all_margins(relu):
    x, y, _ = relu.problems(np.random.default_rng(0))
    small = relu.verifier.replace(batch_size=1)
    found = small.answer(relu.network, x, y)
    given = relu.verifier.answer(relu.network, x, y)
    assert len(set(given.verdict)) == 2
    np.testing.assert_array_equal(found.verdict, given.verdict)
    # Also where the attack has answered before.
    assert np.all(np.isfinite(found.margins))


def test_an_epsilon_of_zero_leaves_the_prediction_itself(relu):
    x, y, _ = relu.problems(np.random.default_rng(4))
    relu.radii.assign(tf.zeros(COUNT))
    y[:8] = (y[:8] + 1) % 3
    answer = relu.verifier.answer(relu.network, x, y)
    assert set(answer.verdict[:8]) == {"falsified"}
    assert set(answer.verdict[8:]) == {"certified"}
    np.testing.assert_array_equal(answer.counterexample, x)
    logits = np.asarray(relu.network(x))
    clean = np.take_along_axis(logits, y[:, np.newaxis], axis=1) - logits
    np.testing.assert_allclose(
        answer.margins, clean, atol=5e-5 * np.max(np.abs(clean))
    )


def test_without_time_all_is_unknown_but_what_is_wrong_by_itself(relu):
    x, y, _ = relu.problems(np.random.default_rng(5))
    relu.radii.assign(relu.radii / 2)
    y[:4] = (y[:4] + 1) % 3
    verifier = BranchAndBound(relu.threat, timeout=0)
    answer = verifier.answer(relu.network, x, y)
    assert set(answer.verdict[:4]) == {"falsified"}
    np.testing.assert_array_equal(answer.counterexample[:4], x[:4])
    assert set(answer.verdict[4:]) == {"unknown"}
    assert np.all(answer.visited == 0)
    assert np.all(answer.margins <= 0)


def test_answers_depend_neither_on_batch_size_nor_on_order():
    rng = np.random.default_rng(6)
    network = plane(layers.ReLU(), layers.ReLU())
    draw(network, rng)
    x = rng.uniform(size=(6, 2)).astype(np.float32)
    y = np.argmax(network(x), axis=1)
    verifier = BranchAndBound(threats.Linf(0.1), timeout=20.0)
    together = verifier.answer(network, x, y)
    assert len(set(together.verdict)) == 2
    backward = verifier.answer(network, x[::-1], y[::-1])
    alone = verifier.answer(network, x[2:3], y[2:3])
    for other, rows in ((backward, slice(None, None, -1)), (alone, [2])):
        np.testing.assert_array_equal(other.verdict, together.verdict[rows])
        np.testing.assert_allclose(
            other.margins, together.margins[rows], atol=1e-4
        )


def test_examples_share_batches_and_are_charged_their_part(monkeypatch):
    network = plane(layers.ReLU(), layers.ReLU())
    draw(network, np.random.default_rng(6))
    x = np.random.default_rng(7).uniform(size=(8, 2)).astype(np.float32)
    y = np.argmax(network(x), axis=1)
    verifier = BranchAndBound(threats.Linf(0.3), timeout=20.0, batch_size=16)
    steps = []

    def counted(subproblems, trees, batch_size):
        before = [(tree, tree.visited, tree.seconds) for tree in trees]
        grow(subproblems, trees, batch_size)
        parts = [tree.visited - visited for tree, visited, _ in before]
        shares = [tree.seconds - seconds for tree, _, seconds in before]
        assert 0 < sum(parts) <= batch_size
        expected = np.multiply(parts, sum(shares) / sum(parts))
        np.testing.assert_allclose(shares, expected, rtol=1e-6)
        steps.append(np.count_nonzero(parts))

    monkeypatch.setattr(branch_and_bound, "grow", counted)
    verifier.answer(network, x, y)
    assert max(steps) > 2
    shared = len(steps)
    for k in range(8):
        verifier.answer(network, x[[k]], y[[k]])
    assert shared < len(steps) - shared


def test_an_example_whose_time_is_up_leaves_the_rest_to_others():
    hidden, rows = layers.Dense(3, activation="relu"), layers.Dense(3)
    network = keras.Sequential([keras.Input((2,)), hidden, rows])
    hidden.set_weights(
        [np.array([[1, 0, 0], [0, 1, 1]]), np.array([-0.6, -0.5, 1])]
    )
    # The margin to class 1: relu(x - 0.6) + |y - 0.5| / 2.
    kernel = np.array([[0, -1, 0], [0, -1, 0], [0, 0.5, 0]])
    rows.set_weights([kernel, np.array([0, -0.75, -1])])
    x = np.array([[0.3, 0.5], [0.74, 0.5]], np.float32)
    verifier = BranchAndBound(threats.Linf(0.1), timeout=0.5, batch_size=1)
    verifier.answer(network, x, np.array([0, 0]))  # Warms up what is compiled.
    answer = verifier.answer(network, x, np.array([0, 0]))
    assert list(answer.verdict) == ["unknown", "certified"]
    assert answer.visited[0] > answer.visited[1] > 0
    assert 0 < answer.margins[1, 1] <= 0.04 + 1e-6


def test_a_tie_is_neither_proven_nor_broken_until_time_is_up():
    network = plane(layers.ReLU())
    for variable in network.variables:
        variable.assign(tf.zeros_like(variable))
    network.variables[-1].assign([0.0, 0.0, -1.0])
    x, y = np.array([[0.5, 0.5]], np.float32), np.array([0])
    verifier = BranchAndBound(threats.Linf(0.2), timeout=0.5)
    verifier.answer(network, x, y)
    begin = time.monotonic()
    answer = verifier.answer(network, x, y)
    assert time.monotonic() - begin < 10
    assert answer.verdict == ["unknown"]
    assert answer.visited > 64
    np.testing.assert_allclose(answer.margins, [[0, 0, 1]], atol=1e-4)


@pytest.mark.builds_keras
def test_a_compiled_verifier_serves_new_weights_but_no_other_network(relu):
    x, y, _ = relu.problems(np.random.default_rng(7))
    relu.verifier.answer(relu.network, x, y)
    compiled = relu.verifier._compiled._functions
    relu.network.variables[-1].assign_add([100.0, 0.0, 0.0])
    answer = relu.verifier.answer(relu.network, x, y * 0)
    assert relu.verifier._compiled._functions is compiled
    assert set(answer.verdict) == {"certified"}
    other = plane()
    other.variables[0].assign(tf.zeros([2, 3]))
    other.variables[1].assign([0.0, 1.0, 0.0])
    assert set(relu.verifier.answer(other, x, y * 0).verdict) == {"falsified"}
    wide = relu.verifier.replace(threat=threats.Linf(0.2))
    assert set(wide.answer(other, x, y * 0 + 1).verdict) == {"certified"}


def test_a_search_inside_a_graph_is_refused(relu):
    x = tf.zeros([1, 2])
    with pytest.raises(RuntimeError, match="Call it outside of every"):
        tf.function(
            lambda x: relu.verifier.margins(relu.network, x, tf.constant([0])),
            autograph=False,
        )(x)


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": -1.0},
        {"batch_size": 0},
        {"steps": 0},
        {"timeout": None},
        {"timeout": np.nan},
        {"learning_rate": 0.0},
        {"learning_rate": None},
        {"restarts": 0},
    ],
    ids=str,
)
def test_an_argument_out_of_range_is_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must .* Received: "):
        BranchAndBound(threats.Linf(0.1), **arguments)


@pytest.mark.parametrize("kind", [threats.Linf, threats.L2, threats.L1])
def test_halved_boxes_hold_what_epsilon_was_before_it_was_rounded(kind):
    # In float32 0.7 is less than 0.7, by 12e-9, and x - epsilon is 0.
    place = np.float32(-1.19e-8)
    threat = kind(0.7, -2.0, 2.0)

    def network(x, training=False):
        return tf.concat([1e6 * x + 0.00595, 0 * x], axis=1)

    verifier = BranchAndBound(threat, timeout=5.0)
    found = verifier.decide(network, np.float32([[0.7]]), np.array([0]))
    assert float(np.float32(0.7)) - float(place) <= 0.7
    seen = network(np.float32([[place]])).numpy()
    assert seen[0, 0] < seen[0, 1] and found.verdict == ["unknown"]
    assert found.margin[0] <= seen[0, 0]


@pytest.mark.parametrize(
    "steps",
    [
        [layers.LSTM(2)],
        [layers.Dense(4, "relu"), layers.Flatten()],
        [layers.TimeDistributed(layers.Dense(4, "relu")), layers.Flatten()],
    ],
    ids=["LSTM", "dense rows", "time distributed"],
)
def test_layers_of_sequences_are_searched(steps):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4, 3)), *steps, layers.Dense(3)])
    x = np.random.default_rng(0).uniform(0.2, 0.8, (4, 4, 3))
    x = x.astype(np.float32)
    y = np.argmax(network(x), axis=1)
    threat = threats.Linf(0.001)
    expected = CROWN(threat).decide(network, x, y).verdict == "certified"
    search = BranchAndBound(threat, timeout=1.0, restarts=1)
    found = search.decide(network, x, y)
    assert np.any(expected) and np.all(found.verdict[expected] == "certified")
