import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks.sparse_rule import SparseRule
from tfrobust.threats import L1

pytestmark = pytest.mark.keras_free

X = tf.fill([2, 10], 0.5)
GRADIENT = tf.constant([[9.0, -8, 7, -6, 5, 4, 3, 2, 1, 0]] * 2)


def step(threat, point=X, count=2.0, size=1.0, gradient=GRADIENT):
    fixed = {"count": tf.fill([2], count), "size": tf.fill([2], size)}
    rule = SparseRule.begin(X, X, 0.2)._replace(**fixed)
    return rule.step(threat, X, point, gradient, tf.constant(False))[0] - X


def test_sparsity_is_reconsidered_every_25th_of_the_run():
    assert SparseRule.checkpoints(100) == list(range(4, 100, 4))
    assert SparseRule.checkpoints(3) == [1, 2]


def test_a_start_is_in_the_threat_and_sparse():
    threat = L1(0.3)
    start = SparseRule.start(threat, X, seed=1)
    np.testing.assert_allclose(threat.distance(X, start), 0.3, rtol=1e-4)
    assert np.all(tf.reduce_sum(tf.cast(start != X, tf.int32), axis=1) < 6)


def test_a_step_moves_the_features_of_largest_gradient_alike():
    expected = np.zeros((2, 10))
    expected[:, 0], expected[:, 1] = 0.1, -0.1
    np.testing.assert_allclose(step(L1(0.2)), expected, atol=1e-6)
    # The count is rounded down, the length is shared.
    np.testing.assert_allclose(step(L1(0.2), count=2.99), expected, atol=1e-6)
    half = step(L1(0.2), size=0.5)
    np.testing.assert_allclose(half, expected / 2, atol=1e-6)
    single = step(L1(0.2), count=0.1)
    np.testing.assert_allclose(single[:, :2], [[0.2, 0]] * 2, atol=1e-6)


def test_a_step_of_a_masked_threat_moves_what_may_move():
    mask = np.ones(10)
    mask[:2] = 0
    moved = step(L1(0.2, mask=mask))
    np.testing.assert_allclose(moved[:, 2:4], [[0.1, -0.1]] * 2, atol=1e-6)
    np.testing.assert_array_equal(moved[:, :2], 0)


def test_if_the_largest_are_at_the_edge_the_next_feature_moves():
    edge = X + [[0.5, -0.5] + [0.0] * 8]
    moved = step(L1(1.2), edge)
    expected = [[0.5, -0.5, 0.2] + [0.0] * 7] * 2
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_without_gradient_nothing_moves():
    np.testing.assert_array_equal(step(L1(0.2), gradient=0 * GRADIENT), 0)


def test_a_sparser_best_resets_the_size_and_is_gone_back_to():
    rule = SparseRule.begin(X, X, 0.2)
    np.testing.assert_allclose(rule.count, 2)
    best = X + [[0.1] * 6 + [0.0] * 4, [0.1] * 10]
    back, rule = rule.check(X, best, None, None)
    np.testing.assert_array_equal(back, [True, False])
    np.testing.assert_allclose(rule.size, [1, 1 / 1.5])
    np.testing.assert_allclose(rule.count, [4, 10 / 1.5])
    for _ in range(9):
        back, rule = rule.check(X, best, None, None)
    np.testing.assert_array_equal(back, False)
    np.testing.assert_allclose(rule.size, 0.1)


def test_a_warm_start_moves_what_its_support_suggests():
    point = X + [[0.1] * 3 + [0.0] * 7, [0.0] * 10]
    rule = SparseRule.begin(X, point)
    np.testing.assert_allclose(rule.count, [2, 0])
    np.testing.assert_array_equal(rule.support, [3, 0])
