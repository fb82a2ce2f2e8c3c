"""How the Square attack starts, and what it changes in a query.

Under linf a window is set to one corner of the ball for each channel. Under
l2 and l1 perturbation moves from one window to another.
"""

import tensorflow as tf

from tfrobust import streams
from tfrobust.attacks import windows
from tfrobust.threats import Threat
from tfrobust.threats.rows import column as as_column
from tfrobust.threats.rows import flat
from tfrobust.threats.water_filling import soft_threshold
from tfrobust.types import TensorLike


def limits(threat: Threat, x: tf.Tensor) -> tuple:
    """What `start` and `change` must know of the threat around x.

    Args:
        threat: A `Threat` on x, whose epsilon has x's shape.
        x: Inputs, shape `[batch, height, width, channels]`.

    Returns:
        The corners of the box around the threat and, but for linf, how far
        each feature may move down and up, in epsilons; all of x's shape.
    """
    box = threat.box(x)
    if threat.is_box:
        return box
    return *box, *(
        tf.math.divide_no_nan(corner - x, threat.epsilon) for corner in box
    )


def start(
    threat: Threat,
    x: tf.Tensor,
    ends: tuple,
    keys: tf.Tensor,
    seed: TensorLike,
    overdraw: float,
) -> tf.Tensor:
    """Spends all of epsilon on stripes or tiles of random signs.

    Args:
        threat: A `Threat` on x, whose epsilon has x's shape.
        x: Inputs, shape `[batch, height, width, channels]`.
        ends: What `limits` returned for x.
        keys: What `streams.keys` returned for x.
        seed: Scalar integer.
        overdraw: How many times epsilon the tiles take before what is outside
            the threat is cut off; not for linf.
    """
    _, height, width, channels = _sizes(x)
    linf = threat.is_box
    tile = (height, 1) if linf else (_fifth(height), _fifth(width))
    row, column = tf.range(height), tf.range(width)
    grid = (height - 1) // tile[0] + 1, (width - 1) // tile[1] + 1
    numbers = streams.draw(keys, seed, grid[0] * grid[1] * channels)
    signs = _signs(tf.reshape(numbers, [-1, *grid, channels]))
    signs = tf.gather(signs, row // tile[0], axis=1)
    signs = tf.gather(signs, column // tile[1], axis=2)
    if linf:
        return _corner(ends, signs)
    rows, columns = row[tf.newaxis] % tile[0], column[tf.newaxis] % tile[1]
    stacked = tf.constant([False])
    bumps = _bumps(threat, rows, columns, tile[0], tile[1], stacked)
    return _shifted(threat, x, ends, x, 1.0, 0.0, bumps * signs, overdraw)


def change(
    threat: Threat,
    x: tf.Tensor,
    ends: tuple,
    images: tf.Tensor,
    fraction: TensorLike,
    keys: tf.Tensor,
    seed: TensorLike,
    number: TensorLike,
    overdraw: float,
) -> tf.Tensor:
    """Changes one window of each image at a random place.

    Args:
        threat: A `Threat` on x, whose epsilon has x's shape.
        x: Inputs, shape `[batch, height, width, channels]`.
        ends: What `limits` returned for x.
        images: What to change, of x's shape.
        fraction: Fraction of the pixels that a window holds.
        keys: What `streams.keys` returned for x.
        seed: Scalar integer.
        number: Integer that tells apart several changes with one seed.
        overdraw: How many times its share of perturbation a window takes
            before what is outside the threat is cut off; not for linf.
    """
    _, height, width, channels = _sizes(x)
    count = 5 + channels
    numbers = streams.draw(keys, seed, count, begin=number * count)
    linf = threat.is_box
    high, wide = windows.sides(fraction, height, width, odd=not linf)
    signs = _signs(numbers[:, tf.newaxis, tf.newaxis, 5:])

    def placed(numbers):
        rows = windows.positions(height, high, numbers[:, 0])
        return rows, windows.positions(width, wide, numbers[:, 1])

    rows, columns = placed(numbers[:, :2])
    first = windows.inside(rows, columns, high, wide)
    if linf:
        return tf.where(first > 0, _corner(ends, signs), images)
    stacked = numbers[:, 4] < 0.5
    bumps = _bumps(threat, rows, columns, high, wide, stacked) * signs
    rows, columns = placed(numbers[:, 2:4])
    second = windows.inside(rows, columns, high, wide)
    return _shifted(threat, x, ends, images, first, second, bumps, overdraw)


def _bumps(threat, rows, columns, high, wide, stacked):
    """Pyramids that fall off faster under l1."""
    power = 4 / _power(threat)
    return windows.pyramids(rows, columns, high, wide, stacked, power)


def _corner(ends, signs):
    """The corner of the linf ball, within the range, that signs point to."""
    lower, upper = ends
    return tf.where(signs > 0, upper, lower)


def _shifted(threat, x, ends, images, first, second, bumps, overdraw):
    """Moves the perturbation of one window, and what is left, to another.

    Perturbations are measured in epsilons, so that their norm is at most 1.

    Args:
        threat: A `Threat` on x.
        x: Inputs, shape `[batch, height, width, channels]`.
        ends: What `limits` returned for x.
        images: What to change, of x's shape.
        first: 1 for pixels in the window that receives, else 0.
        second: 1 for pixels in the window that gives, else 0.
        bumps: What is mixed in equal parts with the first window, and 0
            outside it.
        overdraw: See `change`.
    """
    power = _power(threat)

    def unit(rows):
        size = _powers(rows, power) ** (1 / power)
        return tf.math.divide_no_nan(rows, size)

    moved = tf.math.divide_no_nan(images - x, threat.epsilon)
    bumps *= tf.sign(threat.epsilon)  # None where nothing may move.
    mixture = unit(unit(bumps) + unit(first * moved))
    either = tf.maximum(first, second)
    left = 1 - tf.reduce_sum(_powers(moved, power), axis=-1, keepdims=True)
    left /= tf.cast(_sizes(x)[-1], tf.float32)
    share = tf.maximum(_powers(either * moved, power) + left, 0.0)
    mixture *= overdraw * share ** (1 / power)
    return _fitted(threat, x, ends, (1 - either) * moved + mixture)


def _fitted(threat, x, ends, moved):
    """Brings perturbations, measured in epsilons, back into the threat."""
    lower, upper, *room = ends
    if threat.is_sparse:
        moved = _sparse(moved, room)
    moved = tf.clip_by_value(moved, *room)
    size = as_column(threat.norm(flat(moved)), x)
    moved *= threat.epsilon / tf.maximum(size, 1.0)
    point = tf.clip_by_value(x + moved, lower, upper)
    return point if threat.features is None else threat.sparse(x, point)


def _sparse(moved, room):
    """Takes the same amount from all, so that at most 1 remains in the room.

    This is the projection on the l1 ball and the range. To shrink in
    proportion keeps what is small, and makes for a far weaker attack.
    """

    down, up = room
    sizes, ends = tf.abs(moved), tf.where(moved > 0, up, -down)
    # A dozen halvings leave little unspent, which the next query picks up.
    t = soft_threshold(flat(sizes), flat(ends), count=12)
    return tf.sign(moved) * tf.maximum(sizes - as_column(t, moved), 0.0)


def _power(threat):
    """What perturbation is measured in: absolute values, or else squares."""
    return 1.0 if threat.is_sparse else 2.0


def _powers(rows, power):
    """Sums of powers over each channel, shape `[batch, 1, 1, channels]`."""
    return tf.reduce_sum(tf.abs(rows) ** power, axis=[1, 2], keepdims=True)


def _signs(numbers):
    return tf.where(numbers < 0.5, -1.0, 1.0)


def _fifth(length):
    return tf.maximum(length // 5, 1)


def _sizes(x):
    """The lengths of the axes."""
    return tf.unstack(tf.shape(x))
