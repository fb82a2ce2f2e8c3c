"""Multipliers that keep rows within a ball, one for each row."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats.rows import bisect, multiplier

pytestmark = pytest.mark.keras_free

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
