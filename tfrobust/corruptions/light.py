"""Light and air: fog, brightness, contrast, saturation."""

import math

import tensorflow as tf

from tfrobust import streams
from tfrobust.corruptions.images import clipped, drawn, prepared, side
from tfrobust.types import TensorLike


def fog(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Adds a fractal c times, 0.2 to 1, and dims by `m / (m + c)`.

    m is the largest value of the image. The fractal is a sum of noise on
    grids, each twice as fine and half as strong as the one before, and spans
    [0, 1].

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the fractal, beside the image itself.

    Example:
        `tfr.corruptions.fog(x_test, severity=3)`
    """
    x, size = prepared(x, severity, (0.2, 0.4, 0.6, 0.8, 1.0))
    found = tf.zeros_like(x[..., :1])
    for octave in range(max(1, int(math.log2(side(x))))):
        cells = 2**octave + 1
        noise = drawn(x, streams.fold(seed, octave), [cells, cells, 1])
        found += tf.image.resize(noise, x.shape[1:3]) / 2**octave
    axes = [1, 2, 3]
    found -= tf.reduce_min(found, axes, keepdims=True)
    found /= tf.maximum(tf.reduce_max(found, axes, keepdims=True), 1e-6)
    most = tf.reduce_max(x, axes, keepdims=True)
    return clipped((x + size * found) * most / (most + size))


def brightness(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Adds 0.1 to 0.5 to the largest channel, the others in proportion.

    It is the value of HSV, and that of grey images.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.brightness(x_test, severity=3)`
    """
    x, more = prepared(x, severity, (0.1, 0.2, 0.3, 0.4, 0.5))
    value = tf.reduce_max(x, axis=3, keepdims=True)
    brighter = tf.minimum(value + more, 1.0)
    return clipped(tf.where(value > 0, x * brighter / value, brighter))


def contrast(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Brings values nearer to the channel's mean, to 0.75 to 0.15 of it.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.contrast(x_test, severity=3)`
    """
    x, share = prepared(x, severity, (0.75, 0.6, 0.45, 0.3, 0.15))
    mean = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return clipped(mean + share * (x - mean))


def saturate(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Multiplies the saturation of HSV by 1.5 to 8, up to 1.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, 3]`. Grey ones have
            no saturation.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Raises:
        ValueError: If there aren't 3 channels.

    Example:
        `tfr.corruptions.saturate(np.repeat(x_test, 3, axis=3), severity=3)`
    """
    x, factor = prepared(x, severity, (1.5, 2.0, 3.0, 5.0, 8.0))
    if x.shape[3] != 3:
        raise ValueError(
            "`x` must hold images of 3 channels to be saturated. Received "
            f"shape {x.shape}."
        )
    value = tf.reduce_max(x, axis=3, keepdims=True)
    least = tf.reduce_min(x, axis=3, keepdims=True)
    # At a saturation of 1 the least channel is 0.
    most = tf.math.divide_no_nan(value, value - least)
    return clipped(value - tf.minimum(factor, most) * (value - x))
