"""Small networks of every op that has a rule."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.bounds import rounding

layers = keras.layers
CLASSES = 4
IMAGE, VECTOR = (6, 6, 2), (5,)


class Op(layers.Layer):
    """Any TensorFlow function as a layer, in both Kerases."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def chain(shape, *steps):
    """A network that ends in logits."""
    inputs = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def activated(function):
    """The activation twice, between linear layers."""
    return lambda: chain(
        VECTOR, layers.Dense(6), Op(function), layers.Dense(5), Op(function)
    )


def image(*functions):
    """Functions of an image between a convolution and the logits."""
    return lambda: chain(
        IMAGE,
        layers.Conv2D(4, 3, 2, padding="same", activation="relu"),
        *(f if isinstance(f, layers.Layer) else Op(f) for f in functions),
        layers.Conv2D(3, 2, padding="same", activation="relu"),
    )


def fake_quantized(x):
    return tf.quantization.fake_quant_with_min_max_args(x, -1.5, 2.0, 3)


def normalized(**arguments):
    layer = layers.BatchNormalization(**arguments)
    return chain(
        IMAGE,
        layers.Conv2D(3, 3, padding="same", use_bias=False),
        layer,
        layers.ReLU(),
        layers.Conv2D(3, 3, 2),
        layers.BatchNormalization(),
        layers.ReLU(),
    )


def residual():
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(3, 3, padding="same")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Conv2D(4, 3, 2, padding="same", activation="relu")(x)
    shortcut = layers.Conv2D(4, 1, 2, padding="same")(x)
    x = layers.ReLU()(layers.Subtract()([shortcut, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def strided():
    """Two ways that meet at a grid to which they took different strides."""
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    a = layers.Conv2D(4, 1, 2, padding="same")(x)
    b = layers.Conv2D(4, 4)(x)
    x = layers.ReLU()(layers.Add()([a, b]))
    x = layers.Conv2D(3, 2, padding="same", activation="relu")(x)
    x = layers.Conv2D(3, 2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(x)))


def shifted():
    """A shortcut that is traced before what it goes around."""
    inputs = keras.Input(VECTOR)
    x = layers.Dense(6)(layers.Dense(7, activation="relu")(inputs))
    shortcut = Op(lambda x: x + 0.5)(x)
    x = layers.ReLU()(layers.Add()([shortcut, layers.ReLU()(x)]))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def block():
    """One residual block, for gradients, which take long to compile."""
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(3, 3, 2, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(3, 2, padding="same", activation="relu")(x)
    y = layers.Conv2D(3, 2, padding="same")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def joined():
    inputs = keras.Input(VECTOR)
    a = layers.Dense(3, activation="relu")(inputs)
    b = layers.Dense(2, activation="tanh")(inputs)
    x = layers.Concatenate()([a, b, inputs])
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def random_network(rng):
    """A network of vectors or images with ops and connections at random."""
    shape = VECTOR if rng.random() < 0.5 else (4, 4, 2)
    width, vector = shape[-1], len(shape) == 1
    values = [keras.Input(shape)]

    def linear(x):
        if vector:
            return layers.Dense(width)(x)
        size = int(rng.integers(1, 4))
        return layers.Conv2D(width, size, padding="same")(x)

    def constant(x, function):
        value = rng.normal(size=width).astype(np.float32)
        return Op(lambda x: function(x, value))(x)

    steps = [
        lambda x, _: linear(x),
        lambda x, _: layers.ReLU()(x),
        lambda x, _: Op(tf.tanh)(x),
        lambda x, _: constant(x, lambda x, c: x * c),
        lambda x, _: constant(x, lambda x, c: c - x),
        lambda x, _: constant(x, lambda x, c: x + c),
        lambda x, y: linear(layers.Concatenate()([x, y])),
        lambda x, y: layers.Add()([x, y]),
        lambda x, y: layers.Subtract()([layers.ReLU()(x), y]),
    ]
    for _ in range(rng.integers(5, 10)):
        # Mostly of what came last.
        read = [values[-min(rng.geometric(0.5), len(values))] for _ in "xy"]
        values.append(steps[rng.integers(len(steps))](*read))
    x = layers.Flatten()(layers.Concatenate()(values[-3:]))
    return keras.Model(values[0], layers.Dense(CLASSES)(x))


def fused_batch_norm(x):
    scale = tf.constant([1.5, -0.7, 0.0, 2.0])
    shift, mean = tf.constant([0.1, 0.2, -0.3, 0.4]), 0.1 * scale
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=shift,
        mean=mean,
        variance=scale**2 + 0.1,
        is_training=False,
    ).y


def mixed_up(x):
    """Everything that only moves values around."""
    x = tf.transpose(x, [0, 2, 1, 3])
    x = tf.expand_dims(x, 1)
    x = tf.squeeze(x, 1)
    x = tf.pad(x, [[0, 0], [1, 1], [0, 1], [0, 0]], constant_values=0.3)
    x = tf.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]], "REFLECT")
    x = x[:, 1:5, :4]
    x = tf.slice(x, [0, 0, 0, 1], [-1, -1, -1, 2])
    a, b = tf.split(x, 2, axis=-1)
    x = tf.concat([b, a, -a], axis=-1)
    rows = tf.unstack(x, axis=1)
    x = tf.stack(rows[::-1], axis=2)
    x = tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 2)
    return tf.reshape(x, [-1, 4, 4, 3])


NETWORKS = {
    "dense": lambda: chain(
        VECTOR,
        layers.Dense(9, activation="relu"),
        layers.Dense(8, activation="relu"),
    ),
    "convolution": image(),
    "valid convolution": lambda: chain(
        IMAGE,
        layers.Conv2D(3, 3, activation="relu"),
        layers.Conv2D(3, (1, 3), (2, 1), activation="relu"),
        layers.Conv2D(2, 2, activation="relu"),
    ),
    "convolutions in a row": lambda: chain(
        IMAGE,
        layers.Conv2D(3, 3, padding="same"),
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        layers.Conv2D(3, 3, 2, padding="same"),
        layers.Conv2D(3, 2, padding="same", activation="relu"),
    ),
    "depthwise": image(layers.DepthwiseConv2D(3, padding="same"), tf.nn.relu),
    "separable": image(
        layers.SeparableConv2D(3, 3, padding="same"), tf.nn.relu
    ),
    "batch normalisation": normalized,
    "batch normalisation without affine": lambda: normalized(
        center=False, scale=False
    ),
    "fused batch normalisation": image(fused_batch_norm, tf.nn.relu),
    "residual": residual,
    "strides that differ": strided,
    "shifted shortcut": shifted,
    "joined": joined,
    "moves": image(mixed_up),
    "affine": image(
        lambda x: 1.0 - 2.0 * x,
        lambda x: (0.5 + x) / [2.0, -3.0, 4.0, 1.0],
        lambda x: tf.add_n([x, x]) * tf.reshape(tf.range(9.0) - 4, [3, 3, 1]),
        tf.nn.relu,
    ),
    "sums": lambda: chain(
        IMAGE,
        layers.Conv2D(3, 3, activation="relu"),
        Op(lambda x: tf.reduce_mean(x, [1]) + tf.reduce_sum(x, 2)),
        layers.Flatten(),
        layers.Dense(5, activation="relu"),
    ),
    "average pooling": image(layers.AveragePooling2D(2, padding="same")),
    "max pooling": image(layers.MaxPooling2D(2)),
    "max pooling before a curve": image(layers.MaxPooling2D(2), tf.tanh),
    "overlapping max pooling": image(
        layers.MaxPooling2D(2, strides=1, padding="same")
    ),
    "one value": lambda: chain(
        VECTOR,
        layers.Dense(6, activation="relu"),
        Op(lambda x: 2.0 * tf.reduce_sum(x, 1) - 0.3),
        Op(lambda x: tf.stack([tf.nn.relu(x), tf.tanh(x)], 1)),
    ),
    "matrices": lambda: chain(
        (3, 5),
        layers.EinsumDense("bij,jk->bik", (3, 4), bias_axes="k"),
        layers.ReLU(),
        Op(lambda x: tf.matmul(x, tf.reshape(tf.range(8.0) - 3, [4, 2]))),
        layers.ReLU(),
    ),
    "relu6": activated(lambda x: tf.nn.relu6(4 * x)),
    "leaky relu": activated(lambda x: tf.nn.leaky_relu(x, 0.3)),
    "elu": activated(tf.nn.elu),
    "sigmoid": activated(lambda x: tf.sigmoid(3 * x)),
    "tanh": activated(lambda x: tf.tanh(2 * x)),
    "softplus": activated(tf.math.softplus),
    "maximum": activated(lambda x: tf.maximum(0.2, x)),
    "minimum": activated(lambda x: tf.minimum(x, 0.2)),
    "clipping": activated(lambda x: tf.clip_by_value(x, -0.3, 0.4)),
    "sign": activated(tf.sign),
    "rounding": activated(lambda x: tf.round(2 * x) + 0.1 * x),
    "fake quantisation": activated(fake_quantized),
}


# Both Kerases trace all others to the same ops, as `ops_test.py` holds.
DIFFER = (
    "batch normalisation",
    "batch normalisation without affine",
    "matrices",
)


@contextlib.contextmanager
def little_rounding():
    """A scope in which bounds allow for hardly any rounding.

    They are then compared with exact values as closely as float32 lets them,
    and may be above these.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "UNIT", 2.0**-48)
        yield


def randomize(network, rng):
    """Draws every weight anew, variances positive."""
    for variable in network.variables:
        value = rng.normal(size=variable.shape) / np.sqrt(
            max(1, np.prod(variable.shape[:-1]))
        )
        positive = "variance" in variable.name
        variable.assign(np.abs(value) + 0.1 if positive else 2 * value)
