"""Lines around a maximum, where windows overlap."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import threats, verifiers
from tfrobust.bounds.record import look_up
from tfrobust.graph import Trace

pytestmark = pytest.mark.keras_free

KINDS = {
    "lines": lambda threat: verifiers.CROWN(threat, intersect=False),
    "crown": verifiers.CROWN,
    "alpha-crown": verifiers.AlphaCROWN,
}


@pytest.mark.parametrize("verifier", list(KINDS))
def test_who_leads_the_next_window_is_still_a_rival_in_this_one(verifier):
    # The second value leads the second window, and may exceed the first.
    x = np.array([0.5, 0.45, 0.1], np.float32).reshape(1, 1, 3, 1)

    def model(x, training=False):
        largest = tf.nn.max_pool2d(x, (1, 2), 1, "VALID")[:, 0, :, 0]
        return tf.concat([x[:, 0, :1, 0] + 0.1, largest[:, :1]], axis=1)

    margins = KINDS[verifier](threats.Linf(0.1)).margins(model, x, [0])
    # At 0.4 and 0.55 it is 0.1 + 0.4 - 0.55.
    assert -0.4 < margins[0, 1] <= -0.05


LARGEST = {
    "one axis": (lambda x: tf.reduce_max(x, 1), (4, 2)),
    "two axes that are kept": (
        lambda x: tf.reduce_max(x, [1, -1], keepdims=True),
        (3, 2, 2),
    ),
    "all of them": (lambda x: tf.reduce_max(x, -1)[:, tf.newaxis], (3,)),
    "ties": (lambda x: tf.reduce_max(tf.concat([x, x], 1), 1), (2, 2)),
    "the smallest": (lambda x: tf.reduce_min(x, -1), (2, 4)),
    "of volumes": (lambda x: tf.nn.max_pool3d(x, 2, 1, "SAME"), (2, 3, 2, 2)),
    "ties in volumes": (
        lambda x: tf.nn.max_pool3d(tf.nn.relu(x), [1, 1, 2, 2, 1], 1, "SAME"),
        (2, 2, 3, 1),
    ),
    "of flat volumes": (
        lambda x: tf.nn.max_pool3d(x, [1, 2, 3], [1, 2, 1], "VALID"),
        (3, 2, 3, 1),
    ),
}


@pytest.mark.parametrize("name", list(LARGEST))
def test_the_largest_value_is_bounded(name):
    function, shape = LARGEST[name]
    found = slack(lambda x: tf.nn.leaky_relu(function(x)), shape)
    assert np.all(found < 100)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_equal_values_share_what_a_window_has(padding):
    pools = {
        (3, 4, 2): lambda x: tf.nn.max_pool2d(x, 2, 1, padding),
        (3, 2, 3, 2): lambda x: tf.nn.max_pool3d(x, 2, 1, padding),
        (4, 3): lambda x: tf.reduce_max(x, 1),
    }
    for shape, pool in pools.items():
        zeros = tf.zeros([1, *shape])
        trace = Trace(lambda x, training, f=pool: f(x), zeros)
        look_up(trace)
        node, rng = trace.output, np.random.default_rng(0)
        x = tf.constant(rng.integers(-3, 0, (5, *shape)), tf.float32)
        flat = tf.constant(rng.normal(size=(5, *node.shape)), tf.float32)
        spread = node.rule._spread(node, x, flat)
        axes = list(range(1, len(shape) + 1))
        found = tf.reduce_sum(spread * x, axes)
        value = flat * pool(x)
        expected = tf.reduce_sum(tf.reshape(value, [5, -1]), 1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_maximum_that_one_value_leads_is_exact():
    x = np.float32([[0.9, 0.1, 0.2]])

    def model(x, training=False):
        largest = tf.reduce_max(x, 1, keepdims=True)
        return tf.concat([largest, x[:, :1]], 1)

    margins = verifiers.CROWN(threats.Linf(0.1)).margins(model, x, [0])
    np.testing.assert_allclose(margins[0, 1], 0.0, atol=1e-5)


def test_a_maximum_over_the_batch_is_refused():
    verifier = verifiers.CROWN(threats.Linf(0.1))
    x = np.float32([[0.9, 0.1, 0.2]])
    with pytest.raises(NotImplementedError, match="Max .*mixes the examples"):
        verifier.margins(lambda x, training: x - tf.reduce_max(x, 0), x, [0])
