"""What is known of channels, and how it passes the layers of Keras."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfrobust.backend import keras

layers = keras.layers
# Each channel of the output is a function of that channel of the inputs, and
# the same one at all positions.
CHANNELWISE = (
    layers.Activation,
    layers.Add,
    layers.Average,
    layers.BatchNormalization,
    layers.ELU,
    layers.LeakyReLU,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.ReLU,
    layers.Subtract,
)
# They leave a constant channel as it is.
SPATIAL = (
    layers.AveragePooling2D,
    layers.Cropping2D,
    layers.Dropout,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.SpatialDropout2D,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)
KERNELS = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
_MIXING = ("softmax", "log_softmax", "glu")


@dataclasses.dataclass(frozen=True)
class Channels:
    """The last axis of a tensor.

    Attributes:
        shape: Shape without the batch.
        groups: A number for each channel; channels with the same one stay or
            go together.
        constants: The value that a channel has for every input and at every
            position; NaN if it varies.
    """

    shape: tuple
    groups: np.ndarray
    constants: np.ndarray

    @property
    def varies(self) -> np.ndarray:
        """Marks the channels that are no constants."""
        return np.isnan(self.constants)

    @property
    def values(self) -> np.ndarray:
        """The constants, and 0 for channels that vary."""
        return np.nan_to_num(self.constants)


def is_known(layer: keras.layers.Layer, given: list[Channels]) -> bool:
    """Whether what is said here is true of this layer on these inputs."""
    kind, rank = type(layer), len(given[0].shape)
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    if any(len(channels.shape) != rank for channels in given):
        return False
    if kind is layers.BatchNormalization:
        return list(np.ravel(layer.axis)) in ([-1], [rank])
    if kind is layers.Concatenate:
        return layer.axis in (-1, rank)
    if kind in KERNELS or kind is layers.Activation:
        name = getattr(layer.activation, "__name__", "")
        stock = getattr(keras.activations, name, None) is layer.activation
        elementwise = stock and name not in _MIXING
        return elementwise and getattr(layer, "groups", 1) == 1
    alike = all(x.shape[-1:] == given[0].shape[-1:] for x in given)
    return alike and kind in (*CHANNELWISE, *SPATIAL, layers.Flatten)


def reads(layer: keras.layers.Layer, given: Channels) -> np.ndarray:
    """Marks `[input, output]`: which channel the output cannot do without.

    It can do without a constant, which the bias takes over; but for one that
    isn't 0 where the layer pads with zeros.
    """
    used = np.any(_kernel(layer) != 0, axis=0)
    return used & _blocked(layer, given)[:, np.newaxis]


def absorbed(layer: keras.layers.Layer, values: np.ndarray) -> np.ndarray:
    """What inputs of these values add to each output, float64."""
    sums = np.sum(_kernel(layer), axis=0, dtype=np.float64)
    return values.astype(np.float64) @ sums


def kernel_constants(layer: keras.layers.Layer, given: Channels) -> np.ndarray:
    """The constants behind a Conv2D or Dense."""
    constants = absorbed(layer, given.values) + _bias(layer)
    constants[np.any(reads(layer, given), axis=0)] = np.nan
    return _activated(layer, constants)


def depthwise_constants(
    layer: keras.layers.Layer, given: Channels
) -> np.ndarray:
    """The constants behind a DepthwiseConv2D."""
    kernel = _kernel(layer)
    varies = reads(layer, given)
    sums = np.sum(kernel, axis=0, dtype=np.float64)
    constants = given.values[:, np.newaxis] * sums
    constants[varies] = np.nan
    return _activated(layer, np.ravel(constants) + _bias(layer))


def channelwise_constants(
    layer: keras.layers.Layer, given: list[Channels]
) -> np.ndarray:
    """The constants behind a layer of `CHANNELWISE`."""
    rank = len(given[0].shape)
    values = [
        tf.constant(x.values.reshape([1] * rank + [-1]), tf.float32)
        for x in given
    ]
    result = layer(values if len(values) > 1 else values[0], training=False)
    varies = np.any([x.varies for x in given], axis=0)
    return np.where(varies, np.nan, np.ravel(result))


def spatial_constants(layer: keras.layers.Layer, given: Channels) -> np.ndarray:
    """The constants behind a layer of `SPATIAL`."""
    if type(layer) is layers.ZeroPadding2D:
        return np.where(given.constants == 0, 0.0, np.nan)
    return given.constants


def _kernel(layer):
    """The kernel, shape `[taps, inputs, outputs]`."""
    kernel = layer.get_weights()[0]
    return kernel.reshape(-1, *kernel.shape[-2:])


def _bias(layer):
    return layer.get_weights()[1] if layer.use_bias else 0.0


def _blocked(layer, given):
    """Marks the inputs whose effect isn't the same at all positions."""
    pads = getattr(layer, "padding", "valid") == "same" and (
        tuple(layer.kernel_size) != (1, 1)
    )
    return given.varies | (pads & (given.values != 0))


def _activated(layer, constants):
    varies = np.isnan(constants)
    values = tf.constant(np.nan_to_num(constants)[np.newaxis], tf.float32)
    return np.where(varies, np.nan, np.asarray(layer.activation(values))[0])
