"""Networks whose maxima are made of ReLUs."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.graph import Hinged, Trace

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
X = RNG.normal(scale=4, size=(3, 7, 8, 2)).astype(np.float32)


def pool(size, strides, padding):
    def pooled(x, training=False):
        return tf.nn.max_pool2d(x, size, strides, padding)

    return pooled


def along(axis, keepdims):
    def largest(x, training=False):
        return tf.reduce_max(x, axis, keepdims)

    return largest


NETWORKS = {
    "pool 2": pool(2, 2, "VALID"),
    "pool 3, overlapping": pool(3, 2, "SAME"),
    "pool 3 by 2, padded twice": pool((3, 2), (1, 1), "SAME"),
    "pool 5, wide steps": pool(5, 4, "SAME"),
    "pool with gaps": pool(1, 3, "SAME"),
    "one axis": along(2, False),
    "one axis, kept": along([-1], True),
    "relu6": lambda x, training=False: tf.nn.relu6(2 * x),
    "above a constant": lambda x, training=False: tf.maximum(x, 0.5),
    "below constants": lambda x, training=False: tf.minimum([1.0, -2.0], x),
    "clipped": lambda x, training=False: tf.clip_by_value(x, -1.0, 2.0),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_computes_the_same_without_maxima(name):
    network = NETWORKS[name]
    hinged = Hinged(network)

    @tf.function(autograph=False)
    def run(x):
        types.extend(node.type for node in Trace(hinged, x).nodes)
        return hinged(x)

    types: list = []
    np.testing.assert_allclose(run(tf.constant(X)), network(X), atol=1e-5)
    np.testing.assert_allclose(hinged(tf.constant(X)), network(X), atol=1e-5)
    assert not hinged.same
    assert "Relu" in types or name == "pool with gaps"
    assert not {"Max", "MaxPool", "Relu6", "Maximum", "Minimum"} & set(types)


def test_what_has_none_is_left_as_it_is():
    calls = []

    def network(x, training=False):
        calls.append(x)
        return tf.nn.relu(tf.maximum(x[..., 0], x[..., 1]))

    hinged = Hinged(network)
    for _ in range(2):
        np.testing.assert_array_equal(hinged(tf.constant(X)), network(X))
    assert hinged.same and len(calls) == 5


def test_long_and_several_axes_are_left_as_they_are():
    for network in (along([1, 2], False), along(1, False)):
        hinged = Hinged(network)
        x = np.tile(X, (1, 10, 1, 1))
        np.testing.assert_array_equal(hinged(tf.constant(x)), network(x))
        assert hinged.same
