"""Properties joined by and, or are decided as all activation patterns say."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import evaluation, threats
from tfrobust.verifiers import (
    CROWN,
    BranchAndBound,
    Lipschitz,
    Specification,
    ladder,
)
from tfrobust.verifiers.clauses import Clauses

pytestmark = pytest.mark.keras_free

SIZES = 2, 3, 3, 3
RADIUS = 0.3


class Net:
    """A network of two layers of ReLUs, in float32 and in float64."""

    def __init__(self, sizes=SIZES):
        shapes = [
            s for pair in itertools.pairwise(sizes) for s in (pair, pair[1])
        ]
        self.variables = [tf.Variable(tf.zeros(shape)) for shape in shapes]

    def draw(self, seed):
        rng = np.random.default_rng(seed)
        for variable in self.variables:
            variable.assign(rng.normal(size=variable.shape))

    @property
    def weights(self):
        held = [v.numpy().astype(float) for v in self.variables]
        return list(zip(held[::2], held[1::2], strict=True))

    def __call__(self, x, training=False):
        pairs = zip(self.variables[::2], self.variables[1::2], strict=True)
        for number, (kernel, bias) in enumerate(pairs):
            x = (tf.nn.relu(x) if number else x) @ kernel + bias
        return x

    def exact(self, x):
        for number, (kernel, bias) in enumerate(self.weights):
            x = (np.maximum(x, 0) if number else x) @ kernel + bias
        return x

    def pieces(self):
        """Affine functions of x: what ReLUs read, and the outputs."""
        maps, read = [(np.eye(2), np.zeros(2))], []
        for kernel, bias in self.weights:
            affine = [(a @ kernel, b @ kernel + bias) for a, b in maps]
            read.append(affine)
            signs = itertools.product([0, 1], repeat=len(bias))
            maps = [
                (a * s, b * s) for s in map(np.array, signs) for a, b in affine
            ]
        return [piece for layer in read[:-1] for piece in layer], read[-1]


def smallest(net, clause, rows, x):
    """The exact minimum of the largest of some rows on a square around x.

    It is attained where two lines cross: of edges, of zeros of what a ReLU
    reads, and of rows that are equal, in some pattern of activations.
    """
    x, (read, outputs) = x.astype(float), net.pieces()
    lines = [
        (np.eye(2)[k], -(x[k] + s * RADIUS)) for k in (0, 1) for s in (-1, 1)
    ]
    for slope, constant in read:
        lines += zip(slope.T, constant, strict=True)
    for slope, constant in outputs:
        for one, other in itertools.combinations(clause, 2):
            row = rows[one] - rows[other]
            lines.append((slope @ row, constant @ row))
    slopes = np.array([line[0] for line in lines])
    constants = np.array([line[1] for line in lines])
    i, j = np.triu_indices(len(lines), 1)
    matrices = np.stack([slopes[i], slopes[j]], axis=1)
    sane = np.abs(np.linalg.det(matrices)) > 1e-9
    right = -np.stack([constants[i], constants[j]], axis=1)[sane]
    points = np.linalg.solve(matrices[sane], right[..., np.newaxis])[..., 0]
    points = points[np.all(np.abs(points - x) <= RADIUS + 1e-9, axis=1)]
    return np.min(np.max(net.exact(points) @ rows[clause].T, axis=1))


# No single row of the first clause is positive everywhere, as a rule.
CLAUSES = [[0, 1, 2], [3], [1, 4]]
THREAT = threats.Linf(RADIUS, -2.0, 2.0)
# Seconds after which a search that never ends is told from a slow machine.
LONG = 600.0


def drawn(net, seed, shift):
    """Inputs, and a property that just holds or just doesn't."""
    net.draw(seed)
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (4, 2)).astype(np.float32)
    rows = rng.normal(size=(4, 5, 3)).astype(np.float32)
    exact = np.array(
        [
            [smallest(net, clause, of, one) for clause in CLAUSES]
            for of, one in zip(rows, x, strict=True)
        ]
    )
    # All rows move, so that the worst clause holds by this.
    moved = shift - exact.min(axis=1, keepdims=True)
    spec = Specification(rows, np.repeat(moved, 5, axis=1), CLAUSES)
    return x, spec, exact + moved


@pytest.fixture(scope="module")
def net():
    return Net()


@pytest.mark.parametrize(("batch_size", "seeds"), [(1, [2]), (64, [0, 2])])
def test_verdicts_are_those_of_all_activation_patterns(net, batch_size, seeds):
    verifier = BranchAndBound(THREAT, LONG, batch_size, candidates=2)
    crown, many = CROWN(THREAT), 0
    for seed, shift in itertools.product(seeds, [0.02, -0.02]):
        x, spec, exact = drawn(net, seed, shift)
        answer = verifier.answer(net, x, spec)
        expected = "certified" if shift > 0 else "falsified"
        assert set(answer.verdict) == {expected}
        assert np.all(answer.margins <= exact + 1e-5)
        points = answer.counterexample
        assert np.all(np.abs(points - x) <= RADIUS + 1e-6)
        if shift < 0:
            assert np.all(spec(net(points)).numpy() <= 0)
            # Each margin is bounded once, whatever the batch size, no more.
            assert np.all(answer.visited <= len(CLAUSES))
            continue
        np.testing.assert_array_equal(points, x)
        assert np.all(answer.margins > 0)
        many += np.sum(~crown.decide(net, x, spec).certified.numpy())
        # What is found of each example is found of one alone, too.
        alone = Specification(spec.rows[2], spec.offsets[2], CLAUSES)
        found = verifier.decide(net, x[2:3], alone)
        assert found.verdict == ["certified"]
        np.testing.assert_allclose(
            found.margin, answer.margins[2].min(), atol=1e-4
        )
    assert many > 0
    # Radii of their own go with each example: the property holds at x itself.
    holds = spec(net(x)).numpy() > 0.05
    assert np.any(holds)
    radii = np.where(holds, 1e-4, RADIUS).astype(np.float32)
    own = BranchAndBound(threats.Linf(radii, -2.0, 2.0), LONG, batch_size)
    found = own.decide(net, x, spec).verdict
    np.testing.assert_array_equal(found == "certified", holds)


def test_a_disjunction_may_hold_of_which_no_row_holds_everywhere():
    # Of x and of 0.1 - x one is positive, but at 0 and at 0.1 only one.
    def network(x, training=False):
        return tf.nn.relu(x) - tf.nn.relu(-x)

    x = np.array([[0.05]], np.float32)
    threat = threats.Linf(1.0, -2.0, 2.0)
    rows, offsets = [[1.0], [-1.0]], [0.0, 0.1]
    either = Specification(rows, offsets, [[0, 1]])
    assert CROWN(threat).decide(network, x, either).verdict == ["unknown"]
    verifier = BranchAndBound(threat, timeout=LONG)
    decision = verifier.decide(network, x, either)
    assert decision.verdict == ["certified"]
    # A search ends with a proof, not with the largest bound.
    assert 0 < decision.margin[0] <= 0.05
    each = verifier.margins(network, x, either).numpy()
    np.testing.assert_allclose(each, [[-0.95, -0.95]], atol=1e-3)
    report = evaluation.certify(network, (x, either), ladder(threat), verbose=0)
    assert report.certificates["verdict"] == ["certified"]
    # Lines of the maximum mix both rows.
    assert report.certificates["decided_by"] == ["alphacrown"]
    # At 0 neither is positive.
    tied = Specification(rows, [0.0, 0.0], [[0, 1]])
    short = BranchAndBound(threat, timeout=0.2)
    assert short.decide(network, x, tied).verdict == ["unknown"]


def test_certify_takes_rows_of_each_example(net):
    def network(x, training=False):
        return net(x)

    holds = np.array([True, False, True, False])
    shift = np.where(holds, 0.02, -0.02)[:, np.newaxis]
    x, spec, exact = drawn(net, 3, shift)
    steps = [CROWN(THREAT), BranchAndBound(THREAT, LONG)]
    report = evaluation.certify(network, (x, spec), steps, verbose=0)
    found = np.array(report.certificates["verdict"])
    expected = np.where(holds, "certified", "falsified")
    np.testing.assert_array_equal(found, expected)
    margin = np.array(report.certificates["margin"], float)[holds]
    assert np.all((margin > 0) & (margin <= exact.min(axis=1)[holds] + 1e-5))
    with pytest.raises(ValueError, match="all examples, or of each of 3"):
        evaluation.certify(network, (x[:3], spec), steps, verbose=0)


def test_ranges_of_each_example_go_with_its_rows():
    def network(x, training=False):
        return x

    # Of each its range, not the threat, keeps its row positive.
    low = np.float32([[0.4, 0.0], [0.0, 0.3]])
    threat = threats.Linf(0.45, low, low + 0.5)
    spec = Specification(np.eye(2)[:, np.newaxis], [[-0.2], [-0.2]])
    x = low + 0.1
    for verifier in CROWN(threat), BranchAndBound(threat, LONG):
        margins = np.ravel(verifier.margins(network, x, spec))
        np.testing.assert_allclose(margins, [0.2, 0.1], atol=1e-5)


@pytest.mark.parametrize("sizes", [[1], [2, 1], [3, 1, 3], [5, 4, 2]])
def test_logits_are_what_the_clauses_say(sizes):
    rng = np.random.default_rng(0)
    clauses = [rng.permutation(6)[:size].tolist() for size in sizes]
    spec = Specification(rng.normal(size=(6, 4)), rng.normal(size=6), clauses)
    outputs = rng.normal(size=(50, 4)).astype(np.float32)
    made = Clauses(lambda x, training: x, spec)
    logits = made(tf.constant(outputs)).numpy()
    assert logits.shape == (50, len(sizes) + 1)
    assert made.label == len(sizes) and np.all(logits[:, -1] == 0)
    rows = outputs @ spec.rows.T + spec.offsets
    expected = [np.max(rows[:, clause], axis=1) for clause in clauses]
    np.testing.assert_allclose(
        -logits[:, made.order].T, expected, rtol=1e-5, atol=1e-6
    )


def test_a_milp_says_the_same(net):
    optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy")
    net.draw(7)
    x, rows = np.zeros((1, 2), np.float32), np.float32([[1, -1, 0], [0, 1, -1]])
    least = milp(optimize, net, rows)
    assert abs(least - smallest(net, [0, 1], rows, x[0])) < 1e-5
    for shift, verdict in ((0.02, "certified"), (-0.02, "falsified")):
        spec = Specification(rows, [shift - least] * 2, [[0, 1]])
        found = BranchAndBound(THREAT, LONG).decide(net, x, spec)
        assert found.verdict == [verdict]


def milp(optimize, net, rows, big=50.0):
    """The least t that all rows reach, by a binary number for each ReLU.

    Variables: t, x, and of each ReLU its value and whether it is active.
    """
    count = 3 + 2 * sum(len(bias) for _, bias in net.weights[:-1])
    eye, parts, low = np.eye(count), [], np.full(count, -np.inf)
    high, binary, place = np.full(count, np.inf), np.zeros(count), 3
    low[1:3], high[1:3] = -RADIUS, RADIUS
    values = eye[1:3]
    for kernel, bias in net.weights[:-1]:
        z = eye[place : place + len(bias)]
        active = eye[place + len(bias) : place + 2 * len(bias)]
        low[place : place + 2 * len(bias)] = 0
        binary[place + len(bias) : place + 2 * len(bias)] = 1
        high[place + len(bias) : place + 2 * len(bias)] = 1
        read = kernel.T @ values
        # z >= read, z <= read + big (1 - active), z <= big active.
        parts += [(z - read, bias, np.inf)]
        parts += [(z - read + big * active, -np.inf, bias + big)]
        parts += [(z - big * active, -np.inf, 0.0)]
        values, place = z, place + 2 * len(bias)
    kernel, bias = net.weights[-1]
    reached = eye[:1] - rows @ kernel.T @ values
    parts.append((reached, rows @ bias, np.inf))
    constraints = [optimize.LinearConstraint(*part) for part in parts]
    bounds = optimize.Bounds(low, high)
    found = optimize.milp(
        eye[0], constraints=constraints, bounds=bounds, integrality=binary
    )
    return found.fun


def test_a_small_row_beside_a_large_one_holds():
    rows = [[-1.0, 0.0], [0.0, 1.0]]
    spec = Specification(rows, np.zeros(2), [[0, 1]])
    x = np.float32([[0.5]])

    def network(x, training=False):
        return tf.concat([1e8 + 0 * x, 1 + 0 * x], axis=1)

    threat = threats.Linf(0.1)
    assert Clauses(network, spec)(tf.constant(x)).numpy()[0, 0] == -1
    for verifier in (CROWN(threat), BranchAndBound(threat, timeout=1.0)):
        verdict = verifier.decide(network, x, spec).verdict[0]
        assert verdict in ("certified", "unknown")


def test_what_is_settled_of_one_example_is_not_kept_for_the_next():
    def network(x, training=False):
        return tf.concat([1 + 0 * x, x], axis=1)

    # Of the second, one row falls fast: what bounds the first is no bound.
    first = [[1.0, 0.0], [1.0, 0.001]]
    second = [[0.5, 0.0], [0.5, 0.0]]
    second[0][1] = second[1][1] = -10.0
    spec = Specification([first, second], np.zeros((2, 2)), [[0, 1]])
    x, threat = np.float32([[0.0], [0.0]]), threats.L2(0.1, -1.0, 1.0)
    alone = Lipschitz(threat).decide(network, x, spec)
    report = evaluation.certify(
        network, (x, spec), [Lipschitz(threat)], verbose=0
    )
    found = np.array(report.certificates["margin"], float)
    np.testing.assert_allclose(found, alone.margin, rtol=1e-3, atol=1e-4)
    assert found[1] <= 0.5 - 10 * 0.1
