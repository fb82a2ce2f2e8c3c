"""Roots of falling norms, one for each row."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats.rows import bisect, solve

RNG = np.random.default_rng(4)
ROWS = tf.constant(RNG.normal(size=(50, 40)) * 3, tf.float32)
ENDS = tf.constant(RNG.uniform(0.01, 1, (50, 40)), tf.float32)


def problem(rows, ends, scale):
    """The length of rows that are shrunk, then cut off at `ends`."""

    def norm(t):
        share = scale**2 / (scale**2 + t)
        shrunk = tf.clip_by_value(rows * share, -ends, ends)
        return tf.norm(shrunk, axis=1, keepdims=True) / scale

    return norm, tf.norm(rows, axis=1, keepdims=True) * scale


@pytest.mark.parametrize("scale", [0.03, 0.5, 2.0, 9.0])
def test_secants_find_the_root_of_bisection_from_its_passing_side(scale):
    norm, largest = problem(ROWS, ENDS, scale)
    found, (_, expected) = solve(norm, largest), bisect(norm, largest)
    idle = norm(tf.zeros_like(largest)) <= 1
    assert np.all(np.where(idle, found == 0, norm(found) <= 1 + 1e-7))
    assert np.all(np.where(idle, True, norm(found) >= 1 - 1e-6))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_row_does_not_depend_on_how_long_others_take():
    norm, largest = problem(ROWS, ENDS, 0.5)
    alone, few = problem(ROWS[3:5], ENDS[3:5], 0.5)
    np.testing.assert_array_equal(solve(norm, largest)[3:5], solve(alone, few))
