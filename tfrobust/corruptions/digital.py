"""What compression, scaling and bending do."""

import tensorflow as tf

from tfrobust import streams
from tfrobust.corruptions.images import (
    clipped,
    drawn,
    filtered,
    gaussian,
    prepared,
    side,
    warped,
)
from tfrobust.types import TensorLike


def pixelate(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Scales down by areas, to 0.8 to 0.25 of the sides, and up by pixels.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Example:
        `tfr.corruptions.pixelate(x_test, severity=3)`
    """
    x, share = prepared(x, severity, (0.8, 0.65, 0.5, 0.35, 0.25))
    sides = x.shape[1:3]
    small = [max(1, round(share * length)) for length in sides]
    return clipped(
        tf.image.resize(tf.image.resize(x, small, "area"), sides, "nearest")
    )


def jpeg(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Compresses and decompresses by JPEG, of quality 70 to 10.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`, of 1 or
            3 channels.
        severity: From 1 to 5.
        seed: Not used: nothing is drawn.

    Raises:
        ValueError: If there is another number of channels.

    Example:
        `tfr.corruptions.jpeg(x_test, severity=3)`
    """
    x, quality = prepared(x, severity, (70, 50, 30, 20, 10))
    if x.shape[3] not in (1, 3):
        raise ValueError(
            "`x` must hold images of 1 or 3 channels to be compressed. "
            f"Received shape {x.shape}."
        )

    def compressed(image):
        return tf.image.adjust_jpeg_quality(image, int(quality))

    return clipped(tf.ensure_shape(tf.map_fn(compressed, x), x.shape))


def elastic(x: TensorLike, severity: int, seed: int = 0) -> tf.Tensor:
    """Reads every pixel 0.4 to 2 pixels aside, of a side of 32.

    The shifts are smoothed noise, over 3 pixels, of these lengths in the
    root of the mean square.

    Args:
        x: Images in [0, 1], shape `[batch, height, width, channels]`.
        severity: From 1 to 5.
        seed: Integer that keys the shifts, beside the image itself.

    Example:
        `tfr.corruptions.elastic(x_test, severity=3)`
    """
    x, length = prepared(x, severity, (0.4, 0.8, 1.2, 1.6, 2.0))
    scale = side(x) / 32
    noise = drawn(x, streams.fold(seed, 0), [*x.shape[1:3], 2]) - 0.5
    flow = filtered(noise, gaussian(max(0.5, 3 * scale)))
    square = tf.reduce_sum(flow**2, axis=3, keepdims=True)
    mean = tf.sqrt(tf.reduce_mean(square, axis=[1, 2, 3], keepdims=True))
    return clipped(warped(x, scale * length * flow / tf.maximum(mean, 1e-9)))
