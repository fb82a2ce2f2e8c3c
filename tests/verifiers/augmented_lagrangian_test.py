import numpy as np
import pytest
import tensorflow as tf

from tfrobust.verifiers.augmented_lagrangian import augmented_lagrangian

pytestmark = pytest.mark.keras_free

A = np.array([[[1.0, 4.0, 0.1]], [[2.0, 1.0, 5.0]]], np.float32)
START = np.log(np.full((2, 3), 0.05, np.float32))


def solve(functions, start, steps=200, highest=1.0):
    """Maximises the mean logarithm with every sum of a * exp at most 1."""

    @tf.function(autograph=False)
    def run(functions, start):
        return augmented_lagrangian(
            lambda rows: tf.reduce_mean(rows, axis=1),
            lambda rows: 1 - tf.linalg.matvec(functions, tf.exp(rows)),
            start,
            tf.fill(tf.shape(start), tf.math.log(highest)),
            tf.zeros(tf.shape(functions)[:2]),
            steps,
            step_size=0.1,
        )

    return [np.exp(rows) for rows in run(functions, start)]


def test_it_finds_the_optimum_of_one_constraint_and_a_cap():
    best, last = solve(A, START)
    # The third variable of the first row stops at its cap of 1.
    expected = [[0.45, 0.1125, 1.0], [1 / 6, 1 / 3, 1 / 15]]
    np.testing.assert_allclose(best, expected, rtol=0.02)
    np.testing.assert_allclose(last, expected, rtol=0.05)


def test_the_best_rows_satisfy_several_constraints():
    functions = np.array([[[1, 1.0, 0.0], [0.0, 1.0, 2.0]]], np.float32)
    best, _ = solve(functions, START[:1])
    assert np.all(functions[0] @ best[0] < 1)
    # By symmetry a = 2 c = 1 - b, and (1 - b) ** 2 b is largest at 1 / 3.
    np.testing.assert_allclose(best, [[2 / 3, 1 / 3, 1 / 3]], rtol=0.05)
    np.testing.assert_allclose(np.prod(best), 2 / 27, rtol=0.04)


def test_rows_do_not_interact():
    together, _ = solve(A, START)
    alone, _ = solve(A[1:], START[1:])
    np.testing.assert_allclose(together[1:], alone, rtol=1e-4)


def test_without_a_better_row_the_start_comes_back():
    start = np.log(np.array([[1 / 6, 1 / 3, 0.0665]], np.float32))
    best, last = solve(A[1:], start, steps=1)
    np.testing.assert_array_equal(best, np.exp(start))
    assert np.max(np.abs(last - best)) > 1e-3


@pytest.mark.parametrize("highest", [0.05, 0.06])
def test_no_row_passes_its_upper_bound(highest):
    for rows in solve(A, START, highest=highest):
        assert np.max(rows) <= highest * (1 + 1e-6)
