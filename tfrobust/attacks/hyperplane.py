"""The nearest point of a hyperplane within a box.

Reference: Croce and Hein, 2020, arXiv 1907.02044, section 2.1.
"""

import math

import tensorflow as tf

from tfrobust.threats.rows import bisect, normalized


def shortest_move(order, normal, offset, lower, upper):
    """The move onto a hyperplane within a box that has the least norm.

    A row depends on no other. Up to the rounding of float32, `<move, normal>`
    is `offset` and no shorter move reaches it; the box is never left. Where
    the box doesn't reach the hyperplane, the move ends in the corner nearest
    to it; features of which the normal is 0 never move.

    Args:
        order: The p of the norm: 1, 2 or infinity.
        normal: Normals of the hyperplanes, shape `[batch, features]`.
        offset: What `<move, normal>` must be, shape `[batch, 1]`.
        lower: The least move of each feature, not positive, as `normal`.
        upper: The largest move of each feature, not negative, as `normal`.
    """
    rows, size = normalized(tf.sign(offset) * normal)
    reach = tf.math.divide_no_nan(tf.abs(offset), size)
    gain = tf.abs(rows)
    room = tf.where(rows > 0, upper, -lower)
    if order == 1:
        length = _filled(gain, room, reach)
    else:
        rate = 1.0 if order == math.inf else gain
        length = _grown(gain, room, reach, rate)
    return tf.sign(rows) * length


def _grown(gain, room, reach, rate, steps=16):
    """Lets all features grow at their rates until they reach the hyperplane.

    What is reached is concave in the time t, so Newton's method comes from
    the left and never goes too far. A step at least quarters the product of
    what is missing and the speed at which it shrinks, each as a share of the
    first: below 3e-10 after 16. Most rows are exact after 4, and rest then.
    """

    speed, full = gain * rate, gain * room

    def newton(t, moves):
        grows = rate * t < room
        slope = _total(tf.where(grows, speed, 0.0))
        missing = reach - _total(tf.where(grows, 0.0, full))
        later = tf.math.divide_no_nan(missing, slope)
        later = tf.minimum(later, 1e30)  # Finite: 0 times infinity isn't 0.
        further = moves & (later > t * (1 + 2e-7))
        return tf.where(further, later, t), further

    t, _ = tf.while_loop(
        lambda _, moves: tf.reduce_any(moves),
        newton,
        (tf.zeros_like(reach), reach > 0),
        maximum_iterations=steps,
    )
    corner = _total(full) <= reach
    return tf.where(corner, room, tf.minimum(rate * t, room))


def _filled(gain, room, reach):
    """Fills features in the order of their gains until they reach it."""
    least = tf.maximum(reach, 1e-30)

    def reached(t):
        return _total(tf.where(gain > t, gain * room, 0.0)) / least

    failing, passing = bisect(reached, tf.ones_like(reach), count=30)
    full = tf.where(gain > passing, room, 0.0)
    # What the full ones leave is shared by those tied at the threshold.
    tied = tf.where((gain > failing) & (gain <= passing), room, 0.0)
    missing = reach - _total(gain * full)
    share = tf.math.divide_no_nan(missing, _total(gain * tied))
    return full + tied * tf.clip_by_value(share, 0.0, 1.0)


def _total(rows):
    return tf.reduce_sum(rows, axis=1, keepdims=True)
