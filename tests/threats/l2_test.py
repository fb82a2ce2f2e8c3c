import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats import L2

pytestmark = pytest.mark.keras_free

LOW, HIGH = -0.5, 1.5


def rows(array):
    return np.reshape(np.asarray(array, np.float64), (len(array), -1))


def norm(delta):
    return np.sqrt((delta**2).sum(axis=1))


def most(gradient, lower, upper, scale):
    """The maximum of <d, gradient>, by a fine scan of the dual."""
    values = []
    for g, low, high, s in zip(gradient, lower, upper, scale, strict=True):
        size = np.abs(g * s).max()
        if size == 0:
            values.append(0.0)
            continue
        t = size * np.geomspace(1e-9, 1e3, 20_001)[:, np.newaxis]
        d = np.clip(g * s**2 / t, low, high)
        inner = g * d - t / 2 * (d / s) ** 2
        values.append((inner.sum(axis=1) + t[:, 0] / 2).min())
    return np.array(values)


def dykstra(delta, lower, upper, radius, count=20_000):
    """The nearest point of a ball and a box, by alternating projections."""
    z, ball, box = delta, np.zeros_like(delta), np.zeros_like(delta)
    for _ in range(count):
        y = z + ball
        y = y * np.minimum(1, radius / np.maximum(norm(y), 1e-300))[:, None]
        ball = z + ball - y
        z = np.clip(y + box, lower, upper)
        box = y + box - z
    return z


def test_projection_onto_the_ball_shortens_the_move():
    x = np.zeros((2, 2), np.float32)
    moved = np.array([[3.0, 4.0], [0.3, 0.4]], np.float32)
    projected = L2(1.0, low=-10, high=10).project(x, moved)
    np.testing.assert_allclose(projected, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)


def test_projection_gives_what_the_range_takes_to_the_other_features():
    x = np.array([[0.8, 0.0]], np.float32)
    moved = np.array([[1.8, 1.0]], np.float32)
    # The first feature stops at 1; ball-then-clip would stop at 0.354.
    projected = L2(0.5).project(x, moved)
    np.testing.assert_allclose(projected, [[1.0, 0.21**0.5]], rtol=1e-5)


def test_projection_is_the_limit_of_alternating_projections():
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, (20, 6)).astype(np.float32)
    moved = (x + rng.normal(size=x.shape)).astype(np.float32)
    nearest = dykstra(rows(moved) - rows(x), -rows(x), 1 - rows(x), 0.6)
    projected = rows(L2(0.6).project(x, moved))
    np.testing.assert_allclose(projected - rows(x), nearest, atol=1e-5)


def test_no_point_is_nearer_than_the_projection(case, room):
    threat = L2(case.epsilon, LOW, HIGH)
    lower, upper = room(case.x, case.scale)
    z = rows(threat.project(case.x, case.moved)) - rows(case.x)
    left = rows(case.moved) - rows(case.x) - z
    scale = np.maximum(case.scale, 1e-300)
    # The optimality condition: <left, c - z> <= 0 for every c in the set.
    excess = most(left, lower, upper, scale) - (left * z).sum(axis=1)
    assert np.all(excess <= 1e-5 * (1 + norm(left)))
    assert np.all(norm(z / scale) <= 1 + 1e-5) or np.all(z == 0)


def test_the_steepest_step_gains_the_most(case, room):
    threat = L2(case.epsilon, LOW, HIGH)
    scale = 0.4 * case.scale
    ascended = threat.ascend(case.x, case.x, case.gradient, 0.4)
    step = np.clip(rows(ascended), LOW, HIGH) - rows(case.x)
    gain = (rows(case.gradient) * step).sum(axis=1)
    lower, upper = room(case.x, scale)
    best = most(rows(case.gradient), lower, upper, np.maximum(scale, 1e-30))
    np.testing.assert_allclose(gain, best, rtol=1e-5, atol=1e-18)
    np.testing.assert_array_less(norm(step), norm(scale) + 1e-6)


def test_the_support_is_the_maximum_and_never_less(case, room):
    lower, upper = room(case.x, case.scale)
    scale = np.maximum(case.scale, 1e-30)
    best = most(rows(case.gradient), lower, upper, scale)
    value = L2(case.epsilon, LOW, HIGH).support(case.x, case.gradient)
    np.testing.assert_allclose(value, best, rtol=1e-5, atol=1e-18)


def test_without_a_range_support_and_steepest_step_have_their_closed_form():
    gradient = np.array([[3.0, -4.0]], np.float32)
    x = np.zeros((1, 2), np.float32)
    threat = L2(0.5, low=-10, high=10)
    np.testing.assert_allclose(threat.support(x, gradient), [2.5], rtol=1e-6)
    ascended = threat.ascend(x, x, gradient, 0.2)
    np.testing.assert_allclose(ascended, [[0.06, -0.08]], rtol=1e-6)


def test_the_gradient_of_the_support_is_the_point_that_attains_it():
    x = tf.constant([[0.9, 0.2, 0.5]])
    threat, coefficients = L2(0.5), tf.constant([[3.0, -2.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        value = threat.support(x, coefficients)
    gradient = tape.gradient(value, coefficients)
    best = threat.project(x, threat.ascend(x, x, coefficients, 1.0)) - x
    np.testing.assert_allclose(gradient, best, rtol=1e-4)


def test_a_far_point_of_a_large_image_overshoots_by_less_than_1e_5(far):
    x, moved = far
    projected = L2(3.0).project(x, moved)
    lengths = norm(rows(projected) - rows(x))
    np.testing.assert_allclose(lengths, 3.0, rtol=1e-5)


def test_random_points_fill_the_ball_evenly():
    x = np.random.default_rng(0).uniform(0.45, 0.55, (4000, 3))
    moves = rows(L2(0.3).sample(x.astype(np.float32), seed=1)) - x
    # Uniform in a ball of d dimensions: (|move| / epsilon) ** d is uniform.
    share = np.sort((norm(moves) / 0.3) ** 3)
    np.testing.assert_allclose(share, np.linspace(0, 1, 4000), atol=0.03)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(moves.var(axis=0), 0.09 / 5, rtol=0.07)


def test_a_step_with_room_for_all_fills_the_range():
    x = np.array([[0.25, 0.5, 0.75, 0.5]], np.float32)
    gradient = np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)
    ascended = L2(5.0).ascend(x, x, gradient, 1.0)
    assert np.max(np.abs(ascended)) < 1e6
    filled = L2(5.0).project(x, ascended)
    np.testing.assert_allclose(filled, [[1.0, 0.0, 1.0, 0.5]], atol=1e-6)


def test_norm_and_contains_measure_a_move():
    x = np.full((2, 2), 0.5, np.float32)
    moved = x + np.array([[0.3, 0.4], [0.03, 0.04]], np.float32)
    np.testing.assert_allclose(
        L2(0.4).distance(x, moved), [0.5, 0.05], rtol=1e-6
    )
    np.testing.assert_array_equal(L2(0.4).contains(x, moved), [False, True])
    wide = L2(np.array([[0.1, 0.8]])).contains(x, moved)
    np.testing.assert_array_equal(wide, [False, True])
