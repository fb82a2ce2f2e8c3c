"""Where a line leaves a class."""

import tensorflow as tf

from tfrobust import losses
from tfrobust.analysis.saliency import runner_up, score_gradient
from tfrobust.threats.rows import column, flat
from tfrobust.types import Model

# Halvings after which float32 knows no number in between.
_HALVINGS = 26


def crossing(
    model: Model, x: tf.Tensor, y: tf.Tensor, point: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds where the line from x to a point leaves the class y.

    Args:
        model: Callable of logits.
        x: Inputs, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
        point: Of x's shape, on the other side.

    Returns:
        Whether x is on the one side and the point on the other, `[batch]`;
        the first place beyond the boundary; the class there; and the unit
        normal, which leads back to y, both of x's shape but the class.
    """

    def inside(share):
        at = x + column(share, x) * (point - x)
        logits = tf.cast(model(at, training=False), tf.float32)
        return losses.margin(y, logits) < 0

    zero = tf.zeros_like(x, tf.float32)
    lower = tf.reduce_sum(flat(zero), axis=1)
    upper = lower + 1.0
    found = inside(lower) & ~inside(upper)

    def halve(k, lower, upper):
        middle = (lower + upper) / 2
        right = inside(middle)
        lower = tf.where(right, middle, lower)
        return k + 1, lower, tf.where(right, upper, middle)

    _, _, share = tf.while_loop(
        lambda k, *_: k < _HALVINGS, halve, (0, lower, upper)
    )
    place = x + column(share, x) * (point - x)
    other = runner_up(model, place, y)
    _, gradient = score_gradient(model, place, y, other)
    normal = unit(gradient)
    # Without a slope there is no direction.
    sloped = tf.reduce_any(flat(normal) != 0, axis=1)
    return found & sloped, place, other, normal


def unit(values: tf.Tensor) -> tf.Tensor:
    """Each example divided by its Euclidean length; 0 where that is 0."""
    # Squares of small numbers vanish.
    size = tf.reduce_max(tf.abs(flat(values)), axis=1)
    values = tf.math.divide_no_nan(values, column(size, values))
    length = tf.norm(flat(values), axis=1)
    return tf.math.divide_no_nan(values, column(length, values))
