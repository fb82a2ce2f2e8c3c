"""How the normal of a decision boundary turns along it."""

import math

import tensorflow as tf

from tfrobust import streams
from tfrobust.analysis.crossing import unit
from tfrobust.analysis.saliency import score_gradient
from tfrobust.threats.rows import column, flat
from tfrobust.types import Model, TensorLike

# Newton's steps back to the boundary, and which fraction of the way along the
# tangent may be left.
_STEPS, _LEFT = 8, 1e-2


def angles(
    model: Model,
    point: tf.Tensor,
    y: tf.Tensor,
    other: tf.Tensor,
    normal: tf.Tensor,
    step: float,
    directions: int,
    seed: TensorLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compares the normal at each point with those a step away.

    Args:
        model: Callable of logits.
        point: On the boundary, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
        other: The classes on the far side.
        normal: Unit normals, of the shape of `point`.
        step: How far to go along a tangent.
        directions: Number of random tangents.
        seed: Integer that keys them.

    Returns:
        Mean angles in radians, and mean angles over the distance of the two
        points, `[batch]`; over those directions in which Newton's method came
        back to the boundary, NaN if it did in none.
    """

    def score(at):
        return score_gradient(model, at, y, other)

    def back(k, at):
        value, gradient = score(at)
        square = tf.reduce_sum(flat(gradient) ** 2, axis=1)
        share = tf.math.divide_no_nan(value, square)
        return k + 1, at - column(share, at) * gradient

    def along(number):
        drawn = streams.normal(point, streams.fold(seed, number))
        shadow = tf.reduce_sum(flat(drawn * normal), axis=1)
        tangent = unit(drawn - column(shadow, drawn) * normal)
        _, at = tf.while_loop(
            lambda k, _: k < _STEPS, back, (0, point + step * tangent)
        )
        value, gradient = score(at)
        slope = tf.norm(flat(gradient), axis=1)
        distance = tf.norm(flat(at - point), axis=1)
        # Values that aren't numbers fail both.
        fine = tf.abs(value) <= _LEFT * step * slope
        fine &= (distance > 0.1 * step) & (distance < 10 * step)
        angle = between(normal, unit(gradient))
        curvature = tf.math.divide_no_nan(angle, distance)
        return tuple(tf.where(fine, v, math.nan) for v in (angle, curvature))

    turned, curved = tf.map_fn(
        along,
        tf.range(directions),
        parallel_iterations=1,
        fn_output_signature=(tf.float32, tf.float32),
    )
    return _mean(turned), _mean(curved)


def between(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The angle of two unit vectors of each example, `[batch]`.

    The arc cosine would lose small ones to rounding.
    """
    apart, along = (
        tf.norm(flat(v), axis=1) for v in (one - other, one + other)
    )
    return 2 * tf.atan2(apart, along)


def _mean(values):
    """The mean over the first axis of those that are numbers."""
    fine = tf.math.is_finite(values)
    total = tf.reduce_sum(tf.where(fine, values, 0.0), axis=0)
    count = tf.math.count_nonzero(fine, axis=0, dtype=tf.float32)
    return tf.where(count > 0, total / tf.maximum(count, 1.0), math.nan)
