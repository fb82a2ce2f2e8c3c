"""The level at which each row has spent its budget."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats.water_filling import (
    bisect,
    filled,
    grown,
    growth,
    multiplier,
    price,
    soft_threshold,
)

RNG = np.random.default_rng(4)
ROWS = tf.constant(RNG.normal(size=(50, 40)) * 3, tf.float32)
SHARES = RNG.uniform(0, 1, (2, 50, 40)) * RNG.choice([0, 1], (2, 50, 40))
LOWER, UPPER = (tf.constant(part, tf.float32) for part in SHARES)


def found_for(rows, lower, upper, scale):
    limits = tf.where(rows > 0, upper, lower) / scale
    return multiplier((rows / scale) ** 2, limits**2)


def length(t, scale):
    step = tf.clip_by_value(ROWS / tf.maximum(t, 1e-30), -LOWER, UPPER)
    return tf.norm(step / scale, axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [0.03, 0.5, 2.0, 2.7, 9.0])
def test_the_root_is_that_of_bisection_from_its_passing_side(scale):
    found = found_for(ROWS, -LOWER, UPPER, scale)
    largest = tf.norm(ROWS / scale, axis=1, keepdims=True)
    _, expected = bisect(lambda t: length(t, scale), largest)
    idle = length(0.0, scale) <= 1
    np.testing.assert_array_equal(found == 0, idle)
    assert np.all(length(found, scale) <= 1)
    assert np.all(np.where(idle, True, length(found, scale) >= 1 - 4e-6))
    # Where nearly all is cut off, the length says little of the multiplier.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_rows_without_room_or_length_are_left_alone():
    room = tf.zeros([1, 40])
    np.testing.assert_array_equal(found_for(ROWS, room, room, 1.0), 0)
    rows = tf.zeros([3, 40])
    np.testing.assert_array_equal(found_for(rows, -room - 1, room + 1, 1.0), 0)


def test_a_row_does_not_depend_on_how_long_others_take():
    found = found_for(ROWS, -LOWER, UPPER, 0.5)
    few = found_for(ROWS[3:5], -LOWER[3:5], UPPER[3:5], 0.5)
    np.testing.assert_array_equal(found[3:5], few)


def test_a_ball_without_range_is_a_norm():
    room = tf.fill(ROWS.shape, np.float32(np.inf))
    found = found_for(ROWS, -room, room, 2.0)
    np.testing.assert_allclose(
        found[:, 0], tf.norm(ROWS, axis=1) / 2, rtol=2e-6
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_are_filled_first_and_equals_share_what_is_left(dtype):
    gain = np.array([[3, 2, 1, 2], [3, 2, 1, 2]], dtype)
    room, cost = np.full((2, 4), 10, dtype), np.full((2, 4), 0.5, dtype)
    budget = np.array([[1.25], [9.0]], dtype)
    taken, passing = filled(gain, room, cost, budget)
    expected = [[10, 7.5, 0, 7.5], [10, 10, 10, 10]]
    np.testing.assert_allclose(taken, expected, rtol=1e-6)
    # The multiplier is the gain of those that are not full, if there are any.
    np.testing.assert_array_equal(price(gain, cost, budget), [[2], [0]])
    assert np.all(passing >= price(gain, cost, budget))
    assert taken.dtype == dtype


def test_what_is_taken_from_all_leaves_one():
    # 1 of the first is within its room, and none of the others remains.
    sizes = np.array([[3.0, 1.0, 0.5], [0.25, 0.25, 0.0]], np.float32)
    room = np.array([[1.0, 5.0, 5.0], [1.0, 1.0, 1.0]], np.float32)
    t = soft_threshold(sizes, room)
    np.testing.assert_allclose(t, [[1.0], [0.0]], rtol=1e-6)
    # In a ball of radius 2 they keep 1, 0.75 and 0.25.
    t = soft_threshold(sizes, room, scale=2.0)
    np.testing.assert_allclose(t, [[0.5], [0.0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_grow_until_they_reach_the_level_or_their_room(dtype):
    gain = np.array([[1, 4, 2], [1, 4, 2]], dtype)
    room = np.array([[1, 0.25, 1], [1, 0.25, 1]], dtype)
    level = np.array([[2], [5]], dtype)
    found = grown(gain, room, level, 1.0)
    expected = [[1 / 3, 0.25, 1 / 3], [1, 0.25, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == dtype
    time = growth(gain, room, level, 1.0)
    np.testing.assert_allclose(time[0], [1 / 3], rtol=1e-6)
    # At the speed of their gains: 1 + 4 * t + 1 * t = 2.
    found = grown(gain, room, level, gain)
    np.testing.assert_allclose(found[0], [0.2, 0.25, 0.4], rtol=1e-6)


def test_the_slope_of_the_time_is_that_of_who_grows():
    gain = tf.constant([[1.0, 4.0, 2.0]], tf.float64)
    room = tf.constant([[1.0, 0.25, 1.0]], tf.float64)
    level = tf.constant([[2.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([gain, level])
        time = growth(gain, room, level, 1.0)
    # The time is (level - 0.25 * second) / (first + third).
    by_gain, by_level = tape.gradient(time, [gain, level])
    np.testing.assert_allclose(by_gain, [[-1 / 9, -0.25 / 3, -1 / 9]])
    np.testing.assert_allclose(by_level, [[1 / 3]])
