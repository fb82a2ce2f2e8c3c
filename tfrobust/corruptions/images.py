"""What corruptions are made of."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.types import TensorLike

SEVERITIES = 5


def prepared(
    x: TensorLike, severity: int, levels: Sequence[float]
) -> tuple[tf.Tensor, float]:
    """Returns images as float32, and the level of a severity.

    Raises:
        ValueError: If x isn't `[batch, height, width, channels]` in [0, 1], or
            the severity none of 1 to 5.
    """
    x = checks.inputs(x, 0.0, 1.0)
    if x.shape.rank != 4 or None in x.shape[1:]:
        raise ValueError(
            "`x` must hold images of shape [batch, height, width, channels]. "
            f"Received shape {x.shape}."
        )
    checks.count(severity, "severity")
    fits = severity <= SEVERITIES
    checks.argument(fits, "severity", "be at most 5", severity)
    return x, levels[severity - 1]


def clipped(x: tf.Tensor) -> tf.Tensor:
    """Images in [0, 1]."""
    return tf.clip_by_value(x, 0.0, 1.0)


def side(x: tf.Tensor) -> int:
    """The shorter side in pixels; lengths are given for one of 32."""
    return min(x.shape[1:3])


def filtered(x: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """Each channel convolved with a kernel `[k, k]`, mirrored at the edges."""
    around = kernel.shape[0] // 2
    for axis in (1, 2):
        mirrored = np.pad(np.arange(x.shape[axis]), around, "symmetric")
        x = tf.gather(x, mirrored, axis=axis)
    kernel = tf.constant(kernel / kernel.sum(), tf.float32)
    weights = tf.repeat(kernel[:, :, tf.newaxis, tf.newaxis], x.shape[3], 2)
    return tf.nn.depthwise_conv2d(x, weights, [1] * 4, "VALID")


def gaussian(sigma: float) -> np.ndarray:
    """A Gaussian kernel, cut off at three times sigma."""
    around = max(1, int(np.ceil(3 * sigma)))
    line = np.exp(-0.5 * (np.arange(-around, around + 1) / sigma) ** 2)
    return np.outer(line, line)


def transformed(x: tf.Tensor, rows: Sequence[TensorLike]) -> tf.Tensor:
    """Images read at `(a, b, c; d, e, f) @ (column, row, 1)`, bilinearly.

    Args:
        x: Images, shape `[batch, height, width, channels]`.
        rows: The six numbers of the transformation, each `[batch]`.
    """
    zero = tf.zeros(tf.shape(x)[:1])
    eight = [row + zero for row in rows] + [zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=tf.stack(eight, axis=1),
        output_shape=x.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def drawn(x: tf.Tensor, seed: int, shape: Sequence[int]) -> tf.Tensor:
    """Draws from U[0, 1) for each image, `[batch, *shape]`."""
    numbers = streams.draw(streams.keys(x), seed, int(np.prod(shape)))
    return tf.reshape(numbers, [-1, *shape])


def warped(x: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Images read at other places, bilinearly, the edge repeated outside.

    Args:
        x: Images, shape `[batch, height, width, channels]`.
        flow: Rows and columns to add, shape `[batch, height, width, 2]`.
    """
    height, width = x.shape[1:3]
    grid = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    places = tf.stack(grid, axis=-1)
    last = tf.constant([height - 1, width - 1], tf.float32)
    places = tf.clip_by_value(tf.cast(places, tf.float32) + flow, 0.0, last)
    low = tf.minimum(tf.floor(places), tf.maximum(last - 1, 0.0))
    share = places - low
    low, total = tf.cast(low, tf.int32), 0.0
    for down in (0, 1):
        for right in (0, 1):
            corner = tf.minimum(low + [down, right], [height - 1, width - 1])
            weight = tf.abs(1 - tf.constant([down, right], tf.float32) - share)
            weight = tf.reduce_prod(weight, axis=-1, keepdims=True)
            total += weight * tf.gather_nd(x, corner, batch_dims=1)
    return total
