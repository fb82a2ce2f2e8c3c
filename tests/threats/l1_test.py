import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks
from tfrobust.losses import margin
from tfrobust.threats import L1

pytestmark = pytest.mark.keras_free

LOW, HIGH = -0.5, 1.5


def rows(array):
    return np.reshape(np.asarray(array, np.float64), (len(array), -1))


def norm(delta):
    return np.abs(delta).sum(axis=1)


def most(gradient, lower, upper, scale):
    """The maximum of <d, gradient>: a fractional knapsack, by sorting."""
    values = []
    for g, low, high, s in zip(gradient, lower, upper, scale, strict=True):
        size = np.where(g > 0, high, -low) / s
        order = np.argsort(-np.abs(g) * s)
        before = np.concatenate([[0.0], np.cumsum(size[order])[:-1]])
        taken = np.clip(1 - before, 0, size[order])
        values.append((taken * (np.abs(g) * s)[order]).sum())
    return np.array(values)


def nearest(delta, lower, upper, scale):
    """The projection onto ball and box, exact at the breakpoints."""
    projected = []
    for d, low, high, s in zip(delta, lower, upper, scale, strict=True):
        size = np.where(d > 0, high, -low)

        def shrunk(t, d=d, s=s, size=size):
            return np.clip(np.abs(d) - t / s, 0, size)

        t = np.sort(
            np.abs(np.concatenate([[0], d * s, (np.abs(d) - size) * s]))
        )
        length = np.array([(shrunk(value) / s).sum() for value in t])
        # Linear between breakpoints; the length falls as t grows.
        best = np.interp(-1.0, -length, t) if length[0] > 1 else 0.0
        projected.append(np.sign(d) * shrunk(best))
    return np.array(projected)


def test_projection_is_the_soft_threshold():
    x = np.zeros((2, 3), np.float32)
    moved = np.array([[3.0, -1.0, 0.5], [0.5, -0.2, 0.1]], np.float32)
    projected = L1(2.0, low=-10, high=10).project(x, moved)
    expected = [[2.0, 0, 0], [0.5, -0.2, 0.1]]
    np.testing.assert_allclose(projected, expected, atol=1e-6)


def test_projection_minds_the_box():
    x = np.array([[0.8, 0.0, 0.5]], np.float32)
    moved = np.array([[1.8, 0.9, 0.6]], np.float32)
    # The first feature stops at 1, the second takes what is left of 0.8.
    projected = L1(0.8).project(x, moved)
    np.testing.assert_allclose(projected, [[1.0, 0.6, 0.5]], atol=1e-6)


def test_projection_is_the_exact_one(case, room):
    threat = L1(case.epsilon, LOW, HIGH)
    lower, upper = room(case.x, case.scale)
    delta = rows(case.moved) - rows(case.x)
    scale = np.maximum(case.scale, 1e-15)
    projected = rows(threat.project(case.x, case.moved)) - rows(case.x)
    expected = nearest(delta, lower, upper, scale)
    np.testing.assert_allclose(projected, expected, atol=2e-6)


def test_the_steepest_step_gains_the_most(case, room):
    threat = L1(case.epsilon, LOW, HIGH)
    scale = 0.4 * case.scale
    ascended = threat.ascend(case.x, case.x, case.gradient, 0.4)
    step = np.clip(rows(ascended), LOW, HIGH) - rows(case.x)
    gain = (rows(case.gradient) * step).sum(axis=1)
    lower, upper = room(case.x, scale)
    scale = np.maximum(scale, 1e-15)
    best = most(rows(case.gradient), lower, upper, scale)
    np.testing.assert_allclose(gain, best, rtol=1e-5, atol=1e-18)
    assert np.all(norm(step / scale) <= 1 + 1e-5) or np.all(step == 0)


def test_the_steepest_step_shares_between_equal_gradients():
    x = np.full((1, 4), 0.5, np.float32)
    gradient = np.array([[1, -1, 1, 0.5]], np.float32)
    ascended = L1(0.6).ascend(x, x, gradient, 1.0)
    np.testing.assert_allclose(ascended, [[0.7, 0.3, 0.7, 0.5]], rtol=1e-6)


def test_the_steepest_step_fills_one_pixel_after_the_other():
    x = np.array([[0.9, 0.5, 0.5]], np.float32)
    gradient = np.array([[3, -2, 1]], np.float32)
    ascended = L1(0.4).ascend(x, x, gradient, 1.0)
    # The first goes on beyond the range: 3 / 2 of the whole length of 0.4.
    np.testing.assert_allclose(ascended, [[1.5, 0.2, 0.5]], rtol=1e-6)
    projected = L1(0.4).project(x, ascended)
    np.testing.assert_allclose(projected, [[1.0, 0.2, 0.5]], rtol=1e-6)


def test_the_support_is_the_maximum_and_never_less(case, room):
    lower, upper = room(case.x, case.scale)
    scale = np.maximum(case.scale, 1e-15)
    best = most(rows(case.gradient), lower, upper, scale)
    value = L1(case.epsilon, LOW, HIGH).support(case.x, case.gradient)
    np.testing.assert_allclose(value, best, rtol=1e-5, atol=1e-18)


def test_the_gradient_of_the_support_is_the_point_that_attains_it():
    x = tf.constant([[0.5, 0.5, 0.5], [0.9, 0.2, 0.5]])
    coefficients = tf.constant([[3.0, 2.0, 1.0], [3.0, -2.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        value = L1(0.7).support(x, coefficients)
    gradient = tape.gradient(value, coefficients)
    expected = [[0.5, 0.2, 0.0], [0.1, -0.2, 0.4]]
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_a_far_point_of_a_large_image_overshoots_by_less_than_1e_5(far):
    x, moved = far
    projected = L1(12.0).project(x, moved)
    lengths = norm(rows(projected) - rows(x))
    np.testing.assert_allclose(lengths, 12.0, rtol=1e-5)


def test_random_points_fill_the_ball_evenly():
    x = np.random.default_rng(0).uniform(0.45, 0.55, (4000, 3))
    moves = rows(L1(0.3).sample(x.astype(np.float32), seed=1)) - x
    # Uniform in a ball of d dimensions: (|move| / epsilon) ** d is uniform.
    share = np.sort((norm(moves) / 0.3) ** 3)
    np.testing.assert_allclose(share, np.linspace(0, 1, 4000), atol=0.03)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.01)
    # A coordinate has the second moment 2 / ((d + 1) (d + 2)).
    np.testing.assert_allclose(moves.var(axis=0), 0.09 / 10, rtol=0.1)


def test_a_step_with_room_for_all_fills_the_range():
    x = np.array([[0.25, 0.5, 0.75, 0.5]], np.float32)
    gradient = np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)
    ascended = L1(5.0).ascend(x, x, gradient, 1.0)
    assert np.max(np.abs(ascended)) < 1e6
    filled = L1(5.0).project(x, ascended)
    np.testing.assert_allclose(filled, [[1.0, 0.0, 1.0, 0.5]], atol=1e-6)


def test_norm_and_contains_measure_a_move():
    x = np.full((2, 2), 0.5, np.float32)
    moved = x + np.array([[0.3, -0.4], [0.03, 0.04]], np.float32)
    np.testing.assert_allclose(
        L1(0.4).distance(x, moved), [0.7, 0.07], rtol=1e-6
    )
    np.testing.assert_array_equal(L1(0.4).contains(x, moved), [False, True])


def test_a_radius_of_zero_leaves_only_x():
    x = np.full((2, 3), 0.5, np.float32)
    for point in (L1(0.0).sample(x), L1(0.0).project(x, x + 0.3)):
        np.testing.assert_array_equal(point, x)
    np.testing.assert_array_equal(L1(0.0).support(x, x) < 1e-14, True)


def moved(x, points):
    return np.sum(rows(points) != rows(x), axis=1)


def test_of_capped_features_a_projection_keeps_the_best_and_is_exact(
    case, room
):
    threat = L1(case.epsilon, LOW, HIGH, features=3)
    lower, upper = room(case.x, case.scale)
    delta = rows(case.moved) - rows(case.x)
    move = np.clip(delta, lower, upper)
    gain = delta**2 - (delta - move) ** 2
    best = np.argsort(-gain, axis=1)[:, :3]
    kept = np.zeros_like(delta)
    np.put_along_axis(kept, best, np.take_along_axis(delta, best, 1), axis=1)
    scale = np.maximum(case.scale, 1e-15)
    projected = threat.project(case.x, case.moved)
    expected = nearest(kept, lower, upper, scale)
    np.testing.assert_allclose(
        rows(projected) - rows(case.x), expected, atol=2e-6
    )
    assert np.all(threat.contains(case.x, projected))
    np.testing.assert_allclose(
        threat.project(case.x, projected), projected, atol=5e-7
    )


def test_the_cap_counts_exactly_also_among_equals():
    x = np.full((2, 5), 0.5, np.float32)
    threat = L1(0.3, features=2)
    point = threat.project(x, x + 0.2)
    np.testing.assert_allclose(
        point, [[0.65, 0.65, 0.5, 0.5, 0.5]] * 2, atol=1e-6
    )
    move = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 1]], np.float32) / 16
    inside = threat.contains(x, x + move)
    np.testing.assert_array_equal(inside, [False, True])
    many = L1(0.3, features=9)
    np.testing.assert_allclose(many.project(x, x + 0.2), x + 0.06, atol=1e-6)


def test_random_points_move_as_many_features_as_may():
    x = np.random.default_rng(0).uniform(0.4, 0.6, (200, 6))
    x = x.astype(np.float32)
    threat = L1(0.3, features=2, mask=[1, 1, 1, 1, 0, 1])
    points = threat.sample(x, seed=1)
    assert np.all(threat.contains(x, points))
    np.testing.assert_array_equal(moved(x, points), 2)
    often = np.mean(rows(points) != x, axis=0)
    np.testing.assert_allclose(often, [0.4, 0.4, 0.4, 0.4, 0, 0.4], atol=0.12)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(attacks.APGD, steps=12),
        functools.partial(attacks.APGD, steps=12, early_stop=False),
        functools.partial(attacks.PGD, steps=5),
        functools.partial(attacks.Square, queries=40),
        functools.partial(attacks.FAB, steps=5),
    ],
    ids=["apgd", "training", "pgd", "square", "fab"],
)
@pytest.mark.parametrize("mask", [None, [1, 0, 1, 1]])
def test_attacks_keep_to_the_capped_features(make, mask):
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(5, 3, 4)).astype(np.float32)
    weights = rng.normal(size=(12, 3)).astype(np.float32)

    def model(x, training=False):
        return tf.reshape(x, [-1, 12]) @ weights

    y = np.argmax(model(x), axis=1)
    threat = L1(1.2, mask=mask, features=2)
    points = make(threat).perturb(model, x, y).numpy()
    assert np.all(threat.contains(x, points))
    assert np.max(moved(x, points)) in (1, 2)
    still = np.zeros(4, bool) if mask is None else np.equal(mask, 0)
    np.testing.assert_array_equal(points[..., still], x[..., still])
    after, before = (margin(y, model(at)).numpy() for at in (points, x))
    assert np.mean(after) > np.mean(before) + 0.2


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(attacks.PGD, steps=10),
        functools.partial(attacks.APGD, steps=20, early_stop=False),
    ],
    ids=["pgd", "apgd"],
)
def test_under_a_cap_the_best_features_of_a_linear_model_are_found(make):
    x = np.full((1, 4), 0.5, np.float32)
    weights = np.array([[3.0, 0], [2.0, 0], [1.5, 0], [-2.5, 0]], np.float32)

    def model(x, training=False):
        return x @ weights

    # The two of largest weight go to the edge of the range.
    points = make(L1(2.0, features=2)).perturb(model, x, [1])
    np.testing.assert_allclose(points, [[1.0, 0.5, 0.5, 0.0]], atol=1e-6)


def test_the_cap_must_be_positive():
    with pytest.raises(ValueError, match="`features` must be at least 1"):
        L1(1.0, features=0)


def best_of_all_supports(w, room, epsilon, features):
    """The most that a linear function gains, of every choice of features."""
    found = 0.0
    for support in itertools.combinations(range(len(w)), features):
        left, gain = epsilon, 0.0
        for i in sorted(support, key=lambda i: -abs(w[i])):
            move = min(room[i], left)
            left, gain = left - move, gain + abs(w[i]) * move
        found = max(found, gain)
    return found


@pytest.mark.parametrize(("epsilon", "features"), [(0.4, 1), (1.0, 2), (2, 3)])
@pytest.mark.parametrize(
    "make",
    [
        attacks.FGSM,
        attacks.PGD,
        functools.partial(attacks.PGD, random_start=0.5, momentum=1.0),
        functools.partial(attacks.APGD, early_stop=False, steps=20),
    ],
    ids=["fgsm", "pgd", "momentum", "apgd"],
)
def test_under_a_cap_attacks_gain_nearly_what_the_best_support_does(
    make, epsilon, features
):
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (30, 7)).astype(np.float32)
    w = rng.normal(size=7).astype(np.float32)

    def model(x, training=False):
        return x @ np.stack([0 * w, w], axis=1)

    threat = L1(epsilon, features=features)
    points = make(threat).perturb(model, x, np.zeros(30, int)).numpy()
    assert np.all(threat.contains(x, points))
    room = np.where(w > 0, 1 - x, x)
    best = [best_of_all_supports(w, r, epsilon, features) for r in room]
    share = (points - x) @ w / best
    assert np.all(share < 1 + 1e-5)
    assert np.min(share) > 0.8
    assert np.mean(share) > 0.97


def test_under_a_cap_many_steps_are_no_weaker_than_one():
    rng = np.random.default_rng(3)
    inner = rng.normal(size=(7, 9)).astype(np.float32)
    outer = rng.normal(size=(9, 2)).astype(np.float32)

    def model(x, training=False):
        return tf.nn.relu(x @ inner) @ outer

    x = rng.uniform(0, 1, (60, 7)).astype(np.float32)
    y = np.argmax(model(x), axis=1)
    threat = L1(0.8, features=2)
    one, many = (
        margin(y, model(make(threat).perturb(model, x, y))).numpy()
        for make in (attacks.FGSM, attacks.PGD)
    )
    assert np.mean(many > 0) >= np.mean(one > 0)
    assert np.mean(many) > np.mean(one)


def test_under_a_cap_no_gradient_moves_nothing():
    x = np.full((1, 4), 0.5, np.float32)
    threat = L1(0.3, features=1)
    point = np.array([[0.5, 0.7, 0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(
        threat.ascend(x, point, np.zeros_like(x), 1.0), point
    )
    # A gradient elsewhere takes over what has been moved.
    gradient = np.array([[0, 0, -1, 0.5]], np.float32)
    moved = threat.ascend(x, point, gradient, tf.constant(0.25))
    np.testing.assert_allclose(moved, [[0.5, 0.5, 0.225, 0.5]], rtol=1e-6)
