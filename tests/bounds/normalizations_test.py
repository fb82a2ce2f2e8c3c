"""Layers that normalise or attend within an example are bounded."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import verifiers
from tfrobust.backend import keras
from tfrobust.graph import Trace

layers = keras.layers


def built(build, shape, seed=0):
    """A network of random weights, or what is no layer as it is."""
    if build in (root_mean_square, by_hand):
        return lambda x, training=False: build(x)
    rng = np.random.default_rng(seed)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, build(inputs))
    for weight in model.weights:
        weight.assign(0.6 * rng.normal(size=weight.shape))
    return model


def root_mean_square(x):
    mean = tf.reduce_mean(x * x, -1, keepdims=True)
    return x * tf.math.rsqrt(mean + 1e-6)


def by_hand(x):
    return tf.math.l2_normalize(x, -1)


class Causal(layers.Layer):
    """Attention to earlier steps."""

    def __init__(self):
        super().__init__()
        self.heads = layers.MultiHeadAttention(2, 3)

    def call(self, x):
        return self.heads(x, x, use_causal_mask=True)


def attention(x):
    return layers.MultiHeadAttention(2, 3)(x, x)


def block(x):
    """Of a vision transformer."""
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, attention(y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(5, activation="gelu")(y)
    return layers.Add()([x, layers.Dense(4)(y)])


def transformer(x):
    tokens = layers.Dense(4)(x)
    return layers.Flatten()(block(block(tokens)))


LAYERS = {
    "layer": (lambda x: layers.LayerNormalization()(x), (5,)),
    "layer of images": (
        lambda x: layers.LayerNormalization(axis=[1, 2])(x),
        (2, 2, 3),
    ),
    "group": (lambda x: layers.GroupNormalization(2)(x), (2, 2, 4)),
    "unit": (lambda x: layers.UnitNormalization()(x), (4,)),
    "heads": (attention, (3, 4)),
    "rows": (lambda x: layers.LayerNormalization()(x), (3, 4)),
    "group of all": (lambda x: layers.GroupNormalization(-1)(x), (3, 4)),
    "attention": (lambda x: layers.Attention()([x, x]), (3, 4)),
    "causal": (lambda x: Causal()(x), (3, 4)),
    "additive": (lambda x: layers.AdditiveAttention()([x, x]), (2, 3)),
    "root mean square": (root_mean_square, (5,)),
    "unit by hand": (by_hand, (4,)),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_a_layer_is_bounded(name):
    build, shape = LAYERS[name]
    found = slack(built(build, shape), shape, -1.0, 1.0)
    near = slack(built(build, shape), shape, -1.0, 1.0, widest=0.02)
    assert np.all(found < 200) and near[2] < near[0]


def test_two_blocks_of_a_transformer_are_bounded():
    kinds, shape = (verifiers.IBP, verifiers.CROWN), (2, 3)
    model = built(transformer, shape)
    found = slack(model, shape, -1.0, 1.0, kinds, widest=0.01)
    assert found[1] < 0.2 * found[0]


@pytest.mark.parametrize("name", ["layer", "unit", "root mean square"])
def test_what_is_normalised_has_the_limit_of_its_norm(name):
    build, shape = LAYERS[name]
    trace = Trace(built(build, shape), tf.zeros([1, *shape]))
    (node,) = [n for n in trace.nodes if n.type == "Normalized"]
    limit = 1.0 if name == "unit" else np.sqrt(5)
    np.testing.assert_allclose(node.op.detail.limit, limit)


def test_a_common_offset_is_no_part_of_the_limit():
    # What x * g - mean * g loses to rounding is more than the limit's slack.
    layer = layers.LayerNormalization()
    layer.build((None, 4))
    slack(lambda x: layer(x + 3e4), (4,), -1.0, 1.0)


NEAR_MISSES = {
    "products with a constant": lambda x: (
        x * tf.math.rsqrt(tf.reduce_mean(x * 0.01, -1, keepdims=True) + 2.0)
    ),
    "a difference from a constant": lambda x: (
        x
        * tf.math.rsqrt(
            tf.reduce_mean(
                tf.math.squared_difference(x, 1.0), -1, keepdims=True
            )
            + 1e-3
        )
    ),
    "squares of another": lambda x: (
        x
        * tf.math.rsqrt(
            tf.reduce_mean(x[:, ::-1] ** 2, -1, keepdims=True) + 1e-3
        )
    ),
    "no constant": lambda x: (
        x * tf.math.rsqrt(tf.reduce_mean(x * x + 1, -1, keepdims=True))
    ),
    "squares of fewer": lambda x: (
        x
        * tf.math.rsqrt(tf.reduce_sum(x[:, :2] ** 2, -1, keepdims=True) + 1e-3)
    ),
}


@pytest.mark.parametrize("name", list(NEAR_MISSES))
def test_a_near_miss_has_no_limit(name):
    function = NEAR_MISSES[name]
    trace = Trace(lambda x, training: function(x), tf.zeros([1, 4]))
    assert "Normalized" not in {node.type for node in trace.nodes}
