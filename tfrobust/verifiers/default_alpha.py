"""Where the ascent of alphas begins."""

import tensorflow as tf

from tfrobust.bounds.rounding import Drifts
from tfrobust.graph import Node


def default_alpha(
    node: Node, drifts: Drifts, coefficients: tf.Tensor
) -> tf.Tensor:
    """The alpha that gives the default lines.

    Args:
        node: A `Node`, one of `optimizable`.
        drifts: The `Drifts` that give its lines.
        coefficients: The forms of the node, `[batch, forms, ...]`:
            their signs tell which of both lines matters.
    """
    if hasattr(node.rule, "planes"):
        return drifts.lines(node).alpha(coefficients)
    zeros = tf.zeros_like(coefficients[:, :1])
    first, last, given = map(
        _slopes,
        (
            drifts.lines(node, alpha=zeros),
            drifts.lines(node, alpha=zeros + 1),
            drifts.lines(node),
        ),
    )
    given = given[:, :, tf.newaxis]
    share = tf.math.divide_no_nan(given - first, last - first)
    share = tf.clip_by_value(share, 0.0, 1.0)
    if not node.rule.hinge:
        share = _inverted(node, drifts, share, first, last)
    return tf.where(coefficients >= 0, *tf.unstack(share))


def _inverted(node, drifts, share, first, last):
    """Where slopes have gone that share of their way, which is no line.

    They only rise or only fall as alpha rises, so halving finds it.
    """

    def halve(low, step):
        ends = [drifts.lines(node, alpha=a) for a in tf.unstack(low + step)]
        reached = _slopes(ends[0])[0], _slopes(ends[1])[1]
        gone = tf.math.divide_no_nan(reached - first, last - first)
        return tf.where(gone <= share, low + step, low), step / 2

    low, _ = tf.while_loop(
        lambda *_: True,
        halve,
        (tf.zeros_like(share), tf.constant(0.5)),
        maximum_iterations=12,
    )
    return low


def _slopes(lines):
    """Both slopes of some lines, one above the other."""
    below, above = lines.lower_slope, lines.upper_slope
    return tf.stack(
        [below + tf.zeros_like(above), above + tf.zeros_like(below)]
    )
