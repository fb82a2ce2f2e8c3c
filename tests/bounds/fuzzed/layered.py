"""Keras layers as steps, each in float32 and in float64."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import need, step
from tfrobust.backend import keras


def _twins(draw, x, build, training=False):
    """A layer, and another of the same weights that computes in float64."""
    single, double = build("float32"), build("float64")
    for layer in (single, double):
        layer.build(tuple([None, *x.shape[1:]]))
    for a, b in zip(single.weights, double.weights, strict=True):
        value = draw.normal("weight", a.shape, 0.7)
        if "variance" in getattr(a, "path", a.name):
            value = np.abs(value) + np.float32(0.1)
        a.assign(value), b.assign(value)

    def run(x):
        layer = single if x.dtype == tf.float32 else double
        return layer(x, training=True) if training else layer(x)

    return run


@step("linear")
def keras_batch_normalization(draw, x):
    axis = int(draw.pick("axis", [-1, 1]))
    training = draw.chance("training", 0.25)
    center, scale = draw.chance("center", 0.8), draw.chance("scale", 0.8)
    epsilon = draw.pick("epsilon", [1e-3, 0.1])

    def build(dtype):
        return keras.layers.BatchNormalization(
            axis=axis, center=center, scale=scale, epsilon=epsilon, dtype=dtype
        )

    return _twins(draw, x, build, training)


@step("linear")
def keras_dense(draw, x):
    units, curve = draw.pick("units", [2, 3]), draw.pick("f", ["relu", None])
    return _twins(
        draw,
        x,
        lambda dtype: keras.layers.Dense(units, activation=curve, dtype=dtype),
    )


@step("linear")
def keras_convolution(draw, x):
    need(x.shape.rank == 4)
    arguments = {
        "filters": draw.pick("filters", [2, 3]),
        "kernel_size": draw.pick("size", [1, 2]),
        "padding": draw.pick("padding", ["same", "valid"]),
        "strides": draw.pick("strides", [1, 2]),
        "activation": draw.pick("activation", ["relu", None]),
    }
    return _twins(
        draw, x, lambda dtype: keras.layers.Conv2D(**arguments, dtype=dtype)
    )


@step("curve")
def keras_relu(draw, x):
    arguments = {
        "max_value": draw.pick("max_value", [None, 0.5, 6.0]),
        "negative_slope": draw.pick("negative_slope", [0.0, 0.25]),
        "threshold": draw.pick("threshold", [0.0, 0.25, -0.25]),
    }
    return _twins(
        draw, x, lambda dtype: keras.layers.ReLU(**arguments, dtype=dtype)
    )


@step("curve")
def keras_prelu(draw, x):
    return _twins(draw, x, lambda dtype: keras.layers.PReLU(dtype=dtype))


@step("move")
def keras_permute(draw, x):
    need(x.shape.rank >= 3)
    order = [1 + int(a) for a in draw.rng.permutation(x.shape.rank - 1)]
    draw.log.append(f"order={order}")
    return _twins(
        draw, x, lambda dtype: keras.layers.Permute(order, dtype=dtype)
    )


@step("move")
def keras_flatten(draw, x):
    return _twins(draw, x, lambda dtype: keras.layers.Flatten(dtype=dtype))


_PLAIN = {
    "padding": (4, lambda dtype: keras.layers.ZeroPadding2D(1, dtype=dtype)),
    "upsampling": (4, lambda dtype: keras.layers.UpSampling2D(2, dtype=dtype)),
    "cropping": (
        4,
        lambda dtype: keras.layers.Cropping2D([[0, 1], [1, 0]], dtype=dtype),
    ),
    "global average": (
        4,
        lambda dtype: keras.layers.GlobalAveragePooling2D(dtype=dtype),
    ),
    "global maximum": (
        4,
        lambda dtype: keras.layers.GlobalMaxPooling2D(dtype=dtype),
    ),
    "average": (4, lambda dtype: keras.layers.AveragePooling2D(dtype=dtype)),
    "rescaling": (
        None,
        lambda dtype: keras.layers.Rescaling(2.0, -1.0, dtype=dtype),
    ),
    "layer normalization": (
        None,
        lambda dtype: keras.layers.LayerNormalization(dtype=dtype),
    ),
    "group normalization": (
        4,
        lambda dtype: keras.layers.GroupNormalization(1, dtype=dtype),
    ),
    "recurrent": (3, lambda dtype: keras.layers.SimpleRNN(3, dtype=dtype)),
    "gated": (
        3,
        lambda dtype: keras.layers.GRU(2, return_sequences=True, dtype=dtype),
    ),
    "steps": (
        4,
        lambda dtype: keras.layers.TimeDistributed(
            keras.layers.Conv1D(2, 2, padding="same", dtype=dtype), dtype=dtype
        ),
    ),
    "dropout": (None, lambda dtype: keras.layers.Dropout(0.5, dtype=dtype)),
    "repeat": (2, lambda dtype: keras.layers.RepeatVector(2, dtype=dtype)),
}


@step("move")
def keras_layer(draw, x):
    name = draw.pick("layer", list(_PLAIN))
    rank, build = _PLAIN[name]
    need(rank in (None, x.shape.rank))
    return _twins(draw, x, build)
