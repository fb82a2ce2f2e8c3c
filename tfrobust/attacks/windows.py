"""Windows on images: which part of an image a random search changes.

Positions are integers counted from the first row or column of a window, one
row of them for each example, so that every example has a window of its own.
"""

import numpy as np
import tensorflow as tf

from tfrobust.types import TensorLike

_HALVED_AFTER = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]


def fractions(
    queries: int, initial: float, rescale: bool = False
) -> np.ndarray:
    """Fractions of the pixels that the queries change, shape `[queries]`.

    The initial fraction is halved after queries 10, 50, 200, 500, 1000, 2000,
    4000, 6000 and 8000.

    Args:
        queries: Number of queries.
        initial: Fraction of the first query.
        rescale: Whether the schedule, made for 10000 queries, is fitted
            to `queries`.
    """
    query = np.arange(queries)
    if rescale:
        query = query * 10_000 // queries
    halvings = np.searchsorted(_HALVED_AFTER, query)
    return (initial * 0.5**halvings).astype(np.float32)


def sides(
    fraction: TensorLike,
    height: TensorLike,
    width: TensorLike,
    odd: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows and columns of the square that holds a fraction of the pixels.

    Where a side fills the image, the other side makes up for what it lacks.

    Args:
        fraction: Fractions of the pixels, float32, any shape.
        height: Rows of the image.
        width: Columns of the image.
        odd: Whether sides are odd and at least 3, so that a window has a
            centre. Those that the image cuts short are exempt.
    """
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    area = fraction * height * width
    side = tf.maximum(tf.round(tf.sqrt(area)), 1.0)
    if odd:
        side = tf.maximum(2 * (side // 2) + 1, 3.0)

    def fitted(limit, other):
        longer = tf.maximum(side, tf.round(area / other))
        return tf.minimum(tf.where(side >= other, longer, side), limit)

    pair = fitted(height, width), fitted(width, height)
    return tuple(tf.cast(length, tf.int32) for length in pair)


def positions(
    size: int, length: tf.Tensor | int, numbers: tf.Tensor
) -> tf.Tensor:
    """Places windows of a side on an axis: positions, `[batch, size]`.

    Args:
        size: Length of the axis.
        length: Side of the windows, at most `size`.
        numbers: One number from U[0, 1) for each example, shape `[batch]`.
    """
    places = tf.cast(size - length + 1, tf.float32)
    first = tf.cast(tf.floor(numbers * places), tf.int32)
    return tf.range(size)[tf.newaxis] - first[:, tf.newaxis]


def inside(
    rows: tf.Tensor,
    columns: tf.Tensor,
    height: TensorLike,
    width: TensorLike,
) -> tf.Tensor:
    """1 for pixels in the window, else 0: `[batch, rows, columns, 1]`."""
    return _cross(tf.multiply, _within(rows, height), _within(columns, width))


def pyramids(
    rows: tf.Tensor,
    columns: tf.Tensor,
    height: TensorLike,
    width: TensorLike,
    stacked: tf.Tensor,
    power: float = 2,
) -> tf.Tensor:
    """Two pyramids of opposite signs that share a window, 0 outside it.

    At distance m from its centre a pyramid has the height
    `sum(1 / j**power for j in range(m + 1, n + 2))`, where n is half the side.

    Args:
        rows: Positions of the image's rows, shape `[batch, rows]`.
        columns: Positions of its columns, shape `[batch, columns]`.
        height: Rows of the window.
        width: Columns of the window.
        stacked: Whether one pyramid is above the other, shape `[batch]`;
            otherwise they are side by side.
        power: How fast they fall off.

    Returns:
        Shape `[batch, rows, columns, 1]`.

    Reference: Andriushchenko et al., 2020, arXiv 1912.00049, equation 2.
    """
    top = tf.maximum(height, width) // 2 + 1
    powers = tf.cast(tf.range(1, top + 1), tf.float32) ** power
    heights = tf.concat([tf.cumsum(1 / powers, reverse=True), [0.0]], axis=0)

    def profile(position, length, split):
        """Height by the distance along one axis, and sign."""
        half = length // 2
        second = position >= half
        centre = tf.where(second, half + (length - half) // 2, half // 2)
        centre = tf.where(split, centre, half)
        distance = tf.minimum(tf.abs(position - centre), top)
        bump = _within(position, length) * tf.gather(heights, distance)
        return bump, tf.where(split & second, -1.0, 1.0)

    stacked = stacked[:, tf.newaxis]
    row_bump, row_sign = profile(rows, height, stacked)
    column_bump, column_sign = profile(columns, width, ~stacked)
    # The larger distance counts, which is the lower height.
    bump = _cross(tf.minimum, row_bump, column_bump)
    return bump * _cross(tf.multiply, row_sign, column_sign)


def _within(position, length):
    return tf.cast((position >= 0) & (position < length), tf.float32)


def _cross(combine, rows, columns):
    """Combines each row and column: `[batch, rows, columns, 1]`."""
    return combine(
        rows[:, :, tf.newaxis, tf.newaxis],
        columns[:, tf.newaxis, :, tf.newaxis],
    )
