import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks.momentum_rule import MomentumRule
from tfrobust.threats import L2, Linf

pytestmark = pytest.mark.keras_free


def test_checkpoints_draw_nearer_as_the_run_goes_on():
    # Windows of 22, 19, 16, 13, 10 and 7 steps, then 6 for as long as it goes.
    expected = [22, 41, 57, 70, 80, 87, 93, 99]
    assert MomentumRule.checkpoints(100) == expected
    assert MomentumRule.checkpoints(10) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert MomentumRule.checkpoints(1) == []


def check(rule, best_loss, rises=1.5):
    x = tf.zeros([len(best_loss), 1])
    return rule.check(x, x, tf.constant(best_loss), rises)


def test_the_step_size_halves_if_the_loss_rises_too_seldom():
    x = tf.zeros([4, 1])
    rule = MomentumRule.begin(x, x)
    np.testing.assert_array_equal(rule.size, 2)
    # Of two steps, 2, 1, 1 and 0 are rises; two must be.
    for loss in ([1.0, 1, 2, 3], [2.0, 2, 1, 2], [3.0, 1, 3, 1]):
        rule = rule.observe(tf.constant(loss))
    halved, rule = check(rule, [3.0, 2, 3, 3])
    np.testing.assert_array_equal(halved, [False, True, True, True])
    np.testing.assert_array_equal(rule.size, [2, 1, 1, 1])
    # It goes on from the best, whose loss the next one is compared with.
    np.testing.assert_array_equal(rule.loss, [3, 2, 3, 3])
    np.testing.assert_array_equal(rule.observe(rule.loss + 1).rises, 1)


def test_the_step_size_halves_if_the_best_stays_the_best():
    x = tf.zeros([3, 1])
    rule = MomentumRule.begin(x, x)._replace(
        rises=tf.fill([3], 2.0),
        checked=tf.constant([5.0, 5, 5]),
        halved=tf.constant([False, True, False]),
    )
    halved, rule = check(rule, [5.0, 5, 6])
    # Where it was halved last time, the smaller steps get their chance.
    np.testing.assert_array_equal(halved, [True, False, False])
    np.testing.assert_array_equal(rule.rises, 0)
    np.testing.assert_array_equal(rule.checked, [5, 5, 6])


@pytest.mark.parametrize("norm", [Linf, L2])
def test_a_start_lies_on_the_sphere_and_in_the_range(norm):
    rows = np.linspace(0.4, 0.6, 4, dtype=np.float32)
    x = np.tile(rows[:, np.newaxis, np.newaxis], (1, 3, 2))
    threat = norm(0.3, mask=[[1, 1], [1, 0], [1, 1]])
    start = MomentumRule.start(threat.replace(mask=None), x, seed=1)
    np.testing.assert_allclose(threat.distance(x, start), 0.3, rtol=1e-5)
    assert len(np.unique(start - x)) > 12
    start = MomentumRule.start(norm(tf.constant(2.0)), x, seed=1)
    assert np.min(start) == 0 and np.max(start) == 1
    start = MomentumRule.start(threat, x, seed=1)
    np.testing.assert_array_equal(start[:, 1, 1], x[:, 1, 1])


def test_a_step_keeps_a_quarter_of_the_last_one():
    x = tf.constant([[0.5, 0.5]])
    threat, gradient = Linf(0.4), tf.constant([[1.0, -1.0]])
    rule = MomentumRule.begin(x, x)._replace(size=tf.constant([0.25]))
    point, rule = rule.step(threat, x, x, gradient, tf.constant(True))
    np.testing.assert_allclose(point, [[0.6, 0.4]], atol=1e-6)
    point, rule = rule.step(threat, x, point, gradient, tf.constant(False))
    # 0.75 of a step of 0.1, and 0.25 of the last one.
    np.testing.assert_allclose(point, [[0.7, 0.3]], atol=1e-6)
    point, _ = rule.step(threat, x, point, -gradient, tf.constant(False))
    np.testing.assert_allclose(point, [[0.65, 0.35]], atol=1e-6)
