"""The way to a hyperplane within a box, in the norm of a threat.

Reference: Croce and Hein, 2020, arXiv 1907.02044, section 2.1.
"""

import math

import tensorflow as tf

from tfrobust.threats.rows import normalized
from tfrobust.threats.threat import Threat


def shortest_move(
    threat: Threat,
    normal: tf.Tensor,
    offset: tf.Tensor,
    lower: tf.Tensor,
    upper: tf.Tensor,
) -> tf.Tensor:
    """The move onto a hyperplane within a box that has the least norm.

    A row depends on no other. Up to the rounding of float32, `<move, normal>`
    is `offset` and no shorter move reaches it; the box is never left. Where
    the box doesn't reach the hyperplane, the move ends in the corner nearest
    to it; features of which the normal is 0 never move.

    Args:
        threat: The `Threat` whose norm measures.
        normal: Normals of the hyperplanes, shape `[batch, features]`.
        offset: What `<move, normal>` must be, shape `[batch, 1]`.
        lower: The least move of each feature, not positive, as `normal`.
        upper: The largest move of each feature, not negative, as `normal`.
    """
    rows, size = normalized(tf.sign(offset) * normal)
    level = tf.math.divide_no_nan(tf.abs(offset), size)
    room = tf.where(rows > 0, upper, -lower)
    return tf.sign(rows) * threat.least_move(tf.abs(rows), room, level)


def distance(
    threat: Threat,
    normal: tf.Tensor,
    offset: tf.Tensor,
    lower: tf.Tensor,
    upper: tf.Tensor,
) -> tf.Tensor:
    """The least norm of a move at which `offset + <normal, move>` is 0.

    Computed in float64 and rounded down, so that it never exceeds the exact
    distance. The slopes of its gradient are those of the exact one.

    Args:
        threat: The `Threat` whose norm measures.
        normal: Normals of the hyperplanes, `[batch, functions, features]`.
        offset: Shape `[batch, functions]`.
        lower: The least move of each feature, not positive, in a shape that
            broadcasts to that of `normal`.
        upper: The largest move of each feature, not negative, likewise.

    Returns:
        Shape `[batch, functions]`, float32; infinity where the box doesn't
        reach the hyperplane. Where `offset` isn't positive, minus the distance
        without the box, which is finite.
    """
    normal, offset, lower, upper = (
        tf.cast(value, tf.float64) for value in (normal, offset, lower, upper)
    )
    ahead = offset > 0
    gain, room = tf.abs(normal), tf.where(normal > 0, -lower, upper)
    # Sums are wrong by less than this share of what they must reach.
    level = tf.where(ahead, offset * (1 - 1e-9), 0.0)[..., tf.newaxis]
    least = tf.squeeze(threat.least_norm(gain, room, level), -1)
    reached = tf.reduce_sum(gain * room, axis=-1) > level[..., 0]
    least = tf.where(reached, least, math.inf)
    found = tf.where(ahead, least, _behind(threat, gain, offset))
    # Twice what the conversion may add.
    down = 1 - 1.2e-7 * tf.sign(found)
    return tf.cast(down * found, tf.float32)


def _behind(threat, gain, offset):
    """The distance without a box, 0 if the normal is 0."""
    slanted = tf.reduce_any(gain > 0, axis=-1)
    # At 0 a norm has no slope.
    gain = tf.where(slanted[..., tf.newaxis], gain, 1.0)
    return tf.where(slanted, offset / threat.dual_norm(gain), 0.0)
