"""The distance to a hyperplane within a box, never above the exact one."""

import math

import tensorflow as tf

from tfrobust.threats.rows import bisect

# The least square of a length: at 0 a square root has no finite slope.
_TINY = 1e-300


def hyperplane_distance(order, normal, offset, lower, upper):
    """The least norm of a move at which `offset + <normal, move>` is 0.

    Computed in float64 and rounded down, so that it never exceeds the exact
    distance. The slopes of its gradient are those of the exact one.

    Args:
        order: The p of the norm: 1, 2 or infinity.
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
    solve = {1: _filled, 2: _stretched, math.inf: _grown}[order]
    distance = tf.squeeze(solve(gain, room, level), -1)
    reached = tf.reduce_sum(gain * room, axis=-1) > level[..., 0]
    distance = tf.where(reached, distance, math.inf)
    behind = tf.math.divide_no_nan(offset, _dual_norm(order, gain))
    distance = tf.where(ahead, distance, behind)
    # Twice what the conversion may add.
    down = 1 - 1.2e-7 * tf.sign(distance)
    return tf.cast(down * distance, tf.float32)


def _grown(gain, room, level):
    """Largest of the moves, if all features move at one speed."""
    return _time(gain, room, level, tf.ones_like(gain))


def _stretched(gain, room, level):
    """Euclidean length, if features move at the speeds of their gains."""
    move = tf.minimum(gain * _time(gain, room, level, gain), room)
    return tf.sqrt(tf.maximum(_total(move**2), _TINY))


def _time(gain, room, level, speed, steps=16):
    """The time at which features that move until their room ends reach it.

    What they have reached is concave in the time, so Newton's method comes
    from the left and never goes too far, wherever it is stopped. Most rows
    are exact after 4 steps.
    """

    def newton(time):
        moving = speed * time < room
        done = _total(tf.where(~moving, gain * room, 0.0))
        rate = _total(tf.where(moving, gain * speed, 0.0))
        return tf.math.divide_no_nan(level - done, rate)

    (time,) = tf.while_loop(
        lambda _: True,
        lambda time: (tf.maximum(time, newton(time)),),
        (tf.zeros_like(level),),
        maximum_iterations=steps,
    )
    # The gradient is that of one more step: who moves is constant.
    return newton(tf.stop_gradient(time))


def _filled(gain, room, level):
    """Sum of the moves, if features are moved in the order of their gains."""

    def reached(threshold):
        full = gain > tf.cast(threshold, tf.float64)
        full = _total(tf.where(full, gain * room, 0.0))
        return full / tf.maximum(level, _TINY)

    largest = tf.reduce_max(gain, axis=-1, keepdims=True)
    _, passing = bisect(reached, tf.cast(largest, tf.float32))
    passing = tf.cast(passing, tf.float64)
    # The gain that isn't spent in full. The dual of the linear programme
    # bounds the sum from below at any gain.
    last = tf.where(gain <= passing, gain, 0.0)
    last = tf.reduce_max(last, axis=-1, keepdims=True)
    saved = _total(room * tf.maximum(gain - last, 0.0))
    return tf.math.divide_no_nan(level - saved, last)


def _dual_norm(order, gain):
    """How much a move of norm 1 can reach."""
    if order == 1:
        return tf.reduce_max(gain, axis=-1)
    if order == 2:
        squares = tf.reduce_sum(gain**2, axis=-1)
        return squares / tf.sqrt(tf.maximum(squares, _TINY))
    return tf.reduce_sum(gain, axis=-1)


def _total(rows):
    return tf.reduce_sum(rows, axis=-1, keepdims=True)
