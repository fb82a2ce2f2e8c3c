import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks.fab import FAB
from tfrobust.threats import L1, L2, Linf, hyperplane

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(6)
X = RNG.uniform(0.1, 0.9, (8, 4)).astype(np.float32)
W = RNG.normal(size=(4, 3)).astype(np.float32)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 3
W2 = RNG.normal(size=(6, 3)).astype(np.float32)
DUAL = {Linf: 1, L2: 2, L1: np.inf}
ORDERS = {Linf: np.inf, L2: 2, L1: 1}

every_norm = pytest.mark.parametrize("norm", list(DUAL))


def linear(x, training=False):
    return x @ W


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


def binary(x, training=False):
    return x @ np.stack([0 * W[:, 0], W[:, 0]], axis=1) - [0.0, 0.4]


Y = np.argmax(linear(X), axis=1)
CURVED_Y = np.argmax(curved(X), axis=1)


def nearest(model, x, y, threat, **options):
    """Points and distances as NumPy arrays, in only a few steps."""
    found = FAB(threat, **{"steps": 4, **options}).nearest(model, x, y)
    return tuple(value.numpy() for value in found)


def perturb(model, x, y, threat, **options):
    return FAB(threat, **options).perturb(model, x, y).numpy()


@every_norm
@pytest.mark.parametrize("targets", [0, 1])
def test_of_two_classes_it_finds_the_distance_of_the_hyperplane(norm, targets):
    y = np.argmax(binary(X), axis=1)
    threat = norm(0.1, -9.0, 9.0)
    points, distances = nearest(binary, X, y, threat, targets=targets)
    expected = np.abs(X @ W[:, 0] - 0.4) / np.linalg.norm(W[:, 0], DUAL[norm])
    np.testing.assert_allclose(distances, expected, rtol=1e-3)
    assert np.all(distances > expected * (1 - 1e-5))
    assert np.all(np.argmax(binary(points), axis=1) != y)


def distances_to_classes(norm, low, high):
    """Distances of the hyperplanes within the range, infinity for the label."""
    lead = X @ W - np.max(X @ W, axis=1, keepdims=True)
    distances = np.full((8, 3), np.inf)
    for j in range(3):
        move = hyperplane.shortest_move(
            norm(0.1),
            (W[:, j][:, np.newaxis] - W[:, Y]).T,
            -lead[:, j : j + 1],
            low - X,
            high - X,
        )
        length = np.linalg.norm(move, ORDERS[norm], axis=1)
        distances[:, j] = np.where(Y == j, np.inf, length)
    return distances


@every_norm
@pytest.mark.parametrize("targets", [0, 9])
def test_of_three_classes_it_finds_the_nearest_within_the_range(norm, targets):
    expected = distances_to_classes(norm, 0.0, 1.0).min(axis=1)
    free = distances_to_classes(norm, -9.0, 9.0).min(axis=1)
    assert np.sum(expected > free * 1.01) >= 2
    options = {"steps": 8, "targets": targets}
    points, distances = nearest(linear, X, Y, norm(0.1), **options)
    # Where the range stops features, a last 5 % beyond the boundary aren't
    # taken back from the best features alone.
    np.testing.assert_allclose(distances, expected, rtol=2e-3)
    assert np.all(distances > expected * (1 - 1e-5))
    assert np.all((points >= 0) & (points <= 1))
    assert np.all(np.argmax(linear(points), axis=1) != Y)


def test_targets_are_the_most_likely_wrong_classes():
    threat = L2(0.1, -9.0, 9.0)
    expected = distances_to_classes(L2, -9.0, 9.0)
    second = np.argsort(linear(X), axis=1)[:, 1:2]
    second = np.take_along_axis(expected, second, axis=1)[:, 0]
    nearer = second == expected.min(axis=1)
    assert 0 < np.sum(nearer) < 8
    _, one = nearest(linear, X, Y, threat, targets=1)
    np.testing.assert_allclose(one[nearer], second[nearer], rtol=1e-3)
    # The third class may lie on the way to the second.
    assert np.all(one < second * 1.001)
    _, both = nearest(linear, X, Y, threat, targets=2)
    assert np.all(both <= one)
    assert np.any(both < one * 0.99)


@every_norm
def test_no_point_of_a_grid_is_much_nearer(norm):
    rng = np.random.default_rng(1)
    inner = 6 * rng.normal(size=(2, 8)).astype(np.float32)
    outer = rng.normal(size=(8, 3)).astype(np.float32)

    def wavy(x, training=False):
        return tf.sin(x @ inner) @ outer

    x = rng.uniform(size=(40, 2)).astype(np.float32)
    y = np.argmax(wavy(x), axis=1)
    line = np.linspace(0, 1, 301, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    wrong = np.argmax(wavy(grid), axis=1)[np.newaxis] != y[:, np.newaxis]
    order = ORDERS[norm]
    far = np.linalg.norm(grid[np.newaxis] - x[:, np.newaxis], order, axis=2)
    least = np.min(np.where(wrong, far, np.inf), axis=1)
    points, distances = nearest(wavy, x, y, norm(0.1), steps=6, restarts=2)
    wrong = np.argmax(wavy(points), axis=1) != y
    np.testing.assert_array_equal(wrong, np.isfinite(distances))
    assert np.all(distances > least - 0.02)
    assert np.mean(distances < least * 1.05 + 0.01) >= 0.9


def test_distances_are_those_of_the_points():
    for norm in DUAL:
        points, distances = nearest(curved, X, CURVED_Y, norm(0.1), steps=5)
        norms = np.linalg.norm(points - X, ORDERS[norm], axis=1)
        np.testing.assert_allclose(distances, norms, rtol=1e-5)


@every_norm
def test_a_point_is_returned_only_where_it_lies_in_the_threat(norm):
    options = {"steps": 3, "targets": 2}
    points, distances = nearest(curved, X, CURVED_Y, norm(0.1), **options)
    epsilon = np.median(distances).astype(np.float32)
    for radius in (float(epsilon), np.linspace(0.5, 2, 8) * epsilon):
        threat = norm(radius)
        found = perturb(curved, X, CURVED_Y, threat, **options)
        wrong = np.argmax(curved(found), axis=1) != CURVED_Y
        np.testing.assert_array_equal(wrong, distances <= radius)
        np.testing.assert_array_equal(found[~wrong], X[~wrong])
        assert np.all(threat.contains(X, found))
        assert 0 < np.sum(wrong) < 8


def test_a_misclassified_input_is_its_own_nearest_point():
    y = CURVED_Y.copy()
    y[2:5] = (y[2:5] + 1) % 3
    points, distances = nearest(curved, X, y, L2(3.0), steps=3)
    np.testing.assert_array_equal(distances == 0, y != CURVED_Y)
    np.testing.assert_array_equal(points[2:5], X[2:5])
    found = perturb(curved, X, y, L2(3.0), steps=3)
    np.testing.assert_array_equal(found, points)


@pytest.mark.parametrize("targets", [0, 2])
def test_where_nothing_is_found_x_and_infinity_are_returned(targets):
    def sure(x, training=False):
        return x @ (0 * W) + [1.0, 0.0, -1.0]

    y = np.zeros(8, np.int64)
    options = {"steps": 3, "restarts": 2, "targets": targets}
    points, distances = nearest(sure, X, y, Linf(0.3), **options)
    np.testing.assert_array_equal(distances, np.full(8, np.inf))
    np.testing.assert_array_equal(points, X)


@every_norm
@pytest.mark.parametrize("targets", [0, 1])
def test_a_masked_feature_never_moves(norm, targets):
    mask = np.array([1.0, 0.0, 1.0, 1.0])
    y = np.argmax(binary(X), axis=1)
    threat = norm(0.1, -9.0, 9.0, mask)
    options = {"restarts": 2, "targets": targets}
    points, distances = nearest(binary, X, y, threat, **options)
    np.testing.assert_array_equal(points[:, 1], X[:, 1])
    size = np.linalg.norm(W[:, 0] * mask, DUAL[norm])
    expected = np.abs(X @ W[:, 0] - 0.4) / size
    np.testing.assert_allclose(distances, expected, rtol=1e-3)


@pytest.mark.parametrize(("norm", "targets"), [(Linf, 0), (L2, 2), (L1, 0)])
def test_more_restarts_never_lead_farther(norm, targets):
    options = {"steps": 3, "targets": targets}
    _, once = nearest(curved, X, CURVED_Y, norm(0.5), **options)
    _, often = nearest(curved, X, CURVED_Y, norm(0.5), restarts=4, **options)
    assert np.all(often <= once)
    assert np.any(often < once * 0.999)


def test_restarts_follow_seed_and_step():
    options = {"steps": 1, "restarts": 2}
    points, _ = nearest(curved, X, CURVED_Y, Linf(0.5), **options)
    again, _ = nearest(curved, X, CURVED_Y, Linf(0.5), **options)
    np.testing.assert_array_equal(again, points)
    other, _ = nearest(curved, X, CURVED_Y, Linf(0.5), seed=1, **options)
    assert np.any(other != points)
    moved = FAB(Linf(0.5), **options).at(1).nearest(curved, X, CURVED_Y)
    assert np.any(moved[0] != points)


@every_norm
@pytest.mark.parametrize("targets", [0, 2])
def test_points_ignore_batch_mates_and_compilation(norm, targets):
    attack = FAB(norm(0.2), steps=2, restarts=2, targets=targets)
    signature = [tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)]
    compiled = tf.function(
        lambda x, y: attack.nearest(curved, x, y),
        input_signature=signature,
        autograph=False,
    )
    y = CURVED_Y.copy()
    y[3] = (y[3] + 1) % 3
    together = compiled(X, y)
    np.testing.assert_array_equal(together[1][3], 0)
    eager = attack.nearest(curved, X, y)
    backward = compiled(X[::-1], y[::-1])
    alone = compiled(X[1:2], y[1:2])
    for i in range(2):
        np.testing.assert_allclose(eager[i], together[i], atol=1e-5)
        np.testing.assert_allclose(backward[i][::-1], together[i], atol=1e-5)
        np.testing.assert_allclose(alone[i][0], together[i][1], atol=1e-5)


def test_what_is_finished_is_not_attacked_again():
    passed = []

    def spy(x, training=False):
        passed.append(len(x))
        return curved(x)

    y = CURVED_Y.copy()
    y[:3] = (y[:3] + 1) % 3
    FAB(L2(5.0), steps=2, restarts=2, targets=2).perturb(spy, X, y)
    # All once for the clean logits; the five correct ones end in one run.
    assert passed[0] == 8
    assert set(passed[1:]) == {5}
    assert len(passed) == 1 + 2 * 2 + 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"steps": 0},
            "`steps` must be at least 1 and whole. Received: steps=0",
        ),
        ({"restarts": 0}, "`restarts` must be at least 1"),
        ({"targets": -1}, "`targets` must be at least 0"),
        ({"alpha_max": 1.5}, r"`alpha_max` must lie in \[0, 1\]"),
        ({"alpha_max": np.nan}, r"`alpha_max` must lie in \[0, 1\]"),
        ({"overshoot": 0.9}, "`overshoot` must be at least 1"),
        ({"backward": 1.0}, r"`backward` must lie in \(0, 1\)"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        FAB(**{"threat": Linf(0.1), **options})


@pytest.mark.parametrize("targets", [0, 1])
def test_a_network_without_gradient_is_refused(targets):
    def opaque(x, training=False):
        return tf.stop_gradient(x) @ W

    with pytest.raises(ValueError, match="No gradient reaches"):
        perturb(opaque, X, Y, Linf(0.1), targets=targets)


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(ValueError, match="integer class labels"):
        perturb(linear, X, np.eye(3)[Y], Linf(0.1))


@every_norm
@pytest.mark.parametrize("targets", [0, 1])
def test_moves_are_measured_in_the_epsilon_of_each_feature(norm, targets):
    epsilon = np.array([[0.1, 0.4, 0.2, 0.0]], np.float32)
    y = np.argmax(binary(X), axis=1)
    speed = np.linalg.norm(epsilon[0] * W[:, 0], DUAL[norm])
    expected = np.abs(X @ W[:, 0] - 0.4) / speed
    # Half of the points are in the threat.
    epsilon, expected = (
        epsilon * np.median(expected),
        expected / np.median(expected),
    )
    threat = norm(epsilon, -9.0, 9.0)
    points, distances = nearest(binary, X, y, threat, targets=targets)
    np.testing.assert_allclose(distances, expected, rtol=1e-3)
    assert np.all(np.argmax(binary(points), axis=1) != y)
    np.testing.assert_array_equal(points[:, 3], X[:, 3])
    found = perturb(binary, X, y, threat, targets=targets, steps=4)
    np.testing.assert_array_equal(
        np.argmax(binary(found), axis=1) != y, expected <= 1
    )
