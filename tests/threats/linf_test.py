import numpy as np
import pytest
import tensorflow as tf

from tfrobust import schedules
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

LOW, HIGH = -0.5, 1.5
X = np.array([[0.5, 0.1, 1.0], [0.0, 0.95, 0.5]], np.float32)


def rows(array):
    return np.reshape(np.asarray(array, np.float64), (len(array), -1))


def test_the_box_is_the_ball_within_the_valid_range():
    lower, upper = Linf(0.2).box(X)
    np.testing.assert_allclose(lower, [[0.3, 0, 0.8], [0, 0.75, 0.3]])
    np.testing.assert_allclose(upper, [[0.7, 0.3, 1], [0.2, 1, 0.7]], rtol=1e-6)


def test_the_box_is_shut_where_the_mask_is_zero():
    lower, upper = Linf(0.2, mask=[1, 0, 1]).box(X)
    np.testing.assert_array_equal(lower[:, 1], X[:, 1])
    np.testing.assert_array_equal(upper[:, 1], X[:, 1])
    assert np.all(upper[:, 0] > X[:, 0])


def test_projection_clips_to_the_ball_and_the_range(case):
    threat = Linf(case.epsilon, LOW, HIGH)
    delta = np.clip(rows(case.moved) - rows(case.x), -case.scale, case.scale)
    nearest = np.clip(rows(case.x) + delta, LOW, HIGH)
    projected = rows(threat.project(case.x, case.moved))
    np.testing.assert_allclose(projected, nearest, atol=3e-7)


def test_the_steepest_step_is_the_sign_within_the_range(case):
    threat = Linf(case.epsilon, LOW, HIGH)
    step = 0.25 * case.scale * np.sign(rows(case.gradient))
    expected = np.clip(rows(case.x) + step, LOW, HIGH)
    ascended = rows(threat.ascend(case.x, case.x, case.gradient, 0.25))
    clipped = np.clip(ascended, LOW, HIGH)
    np.testing.assert_allclose(clipped, expected, atol=3e-7)


def test_support_is_the_closed_form(case, room):
    lower, upper = room(case.x, case.scale)
    gradient = rows(case.gradient)
    expected = np.maximum(gradient * lower, gradient * upper).sum(axis=1)
    value = Linf(case.epsilon, LOW, HIGH).support(case.x, case.gradient)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-30)


def test_random_points_fill_the_interval_evenly():
    x = np.random.default_rng(0).uniform(0.3, 0.7, (300, 40))
    moves = Linf(0.2).sample(x.astype(np.float32), seed=1) - x
    assert np.mean(moves) == pytest.approx(0, abs=0.005)
    assert np.var(moves) == pytest.approx(0.4**2 / 12, rel=0.03)


def test_norm_and_contains_measure_a_move():
    moved = X + np.array([[0.1, 0, 0], [0, 0, -0.25]], np.float32)
    threat = Linf(0.2)
    np.testing.assert_allclose(
        threat.distance(X, moved), [0.1, 0.25], rtol=1e-6
    )
    np.testing.assert_array_equal(threat.contains(X, moved), [True, False])


def test_contains_refuses_a_point_outside_the_range_by_the_least():
    x = np.ones((1, 2), np.float32)
    assert not Linf(0.2).contains(x, x + np.float32(1.2e-7))
    assert Linf(0.2).contains(x, x)


def test_contains_works_without_a_range():
    for threat in (Linf, L2, L1):
        free = threat(0.2, low=-np.inf, high=np.inf)
        moved = X + np.array([[0.1, 0, 0], [5, 0, 0]], np.float32)
        inside = free.contains(X, moved)
        np.testing.assert_array_equal(inside, [True, False])


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_what_rounding_excuses_in_a_move_it_does_not_in_the_range(threat):
    within = threat(0.2, 0.5, 1.0)
    for edge, beyond in ((0.5, 0.0), (1.0, 2.0)):
        x = np.full((1, 3), edge, np.float32)
        outside = np.nextafter(x, np.float32(beyond))
        assert not within.contains(x, outside)
        assert within.contains(x, x)
        # Inside of a wider range the same step is a matter of rounding.
        assert threat(0.0, 0.0, 2.0).contains(x, outside)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_only_rounding_is_excused(threat):
    x = np.array([[0.5, 0.25]], np.float32)
    for excess, inside in ((0.0, True), (5e-6, False)):
        moved = x + np.array([[0.2 + excess, 0.0]], np.float32)
        assert threat(0.2).contains(x, moved) == inside


@pytest.mark.parametrize("threat", [Linf, L2, L1])
@pytest.mark.parametrize("epsilon", [-0.1, np.nan, np.inf, [0.1, -0.1]])
def test_a_radius_that_is_no_length_is_refused(threat, epsilon):
    with pytest.raises(ValueError, match="finite and not negative.*epsilon="):
        threat(epsilon)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 0), (np.nan, 1)])
def test_an_empty_range_is_refused(threat, low, high):
    with pytest.raises(ValueError, match="`low` must be below `high`"):
        threat(0.1, low, high)


@pytest.mark.parametrize("epsilon", [8, 8.0, np.float32(8)])
def test_a_radius_in_bytes_is_answered_with_a_hint(epsilon):
    with pytest.raises(ValueError, match="below the width.*mean 8/255"):
        Linf(epsilon)
    assert Linf(epsilon, high=255.0).epsilon == 8.0
    assert L2(epsilon).epsilon == 8.0


@pytest.mark.parametrize("threat", [Linf, L2, L1])
@pytest.mark.parametrize(
    ("shape", "epsilon"),
    [((2, 3), (3,)), ((2, 3, 4), (4, 3)), ((2, 3), (1,) * 4)],
)
def test_a_radius_of_the_wrong_shape_is_refused(threat, shape, epsilon):
    x, wrong = tf.fill(shape, 0.5), threat(np.full(epsilon, 0.1))
    with pytest.raises(ValueError, match=r"`epsilon` must be .*\(2,\).*shape"):
        wrong.sample(x)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_a_schedule_needs_a_step(threat):
    moving = threat(schedules.Ramp(0.0, 0.2, end=10))
    with pytest.raises(ValueError, match="schedule.*only at a step.*Ramp"):
        moving.sample(X)
    _, upper = moving.at(5).box(X)
    assert float(upper[0, 0]) == pytest.approx(0.6)
