"""Lines around functions of several pieces: hinges at constants, and steps."""

import tensorflow as tf

from tfrobust.bounds.activation import Relaxation, divided, hinge_lines
from tfrobust.graph import Node


def maximum(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """`max(z, c) = c + max(z - c, 0)`, for a constant c."""
    constant = _constant(node)
    lines = hinge_lines(lower - constant, upper - constant, alpha)
    return Relaxation(
        lines.lower_slope,
        constant * (1 - lines.lower_slope),
        lines.upper_slope,
        lines.upper_intercept + constant * (1 - lines.upper_slope),
    )


def minimum(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """`min(z, c) = c - max(c - z, 0)`, for a constant c."""
    constant = _constant(node)
    lines = hinge_lines(constant - upper, constant - lower, alpha)
    return Relaxation(
        lines.upper_slope,
        constant * (1 - lines.upper_slope) - lines.upper_intercept,
        lines.lower_slope,
        constant * (1 - lines.lower_slope),
    )


def relu6(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """`min(max(z, 0), 6)`: a hinge at either end, or both."""
    first = hinge_lines(lower, upper, alpha)
    last = hinge_lines(6 - upper, 6 - lower, alpha)
    # With both within reach: below, a line from (0, 0) to (upper, 6) or 0;
    # above, a line from (lower, 0) to (6, 6) or 6.
    rise, reach = divided(6.0, upper), divided(6.0, 6 - lower)
    lower_slope = tf.where(upper < 6 - lower, rise, 0.0)
    upper_slope = tf.where(6 - lower < upper, reach, 0.0)
    both = Relaxation(
        lower_slope, 0.0 * lower, upper_slope, 6 - 6 * upper_slope
    )
    left = Relaxation(
        first.lower_slope,
        0.0 * lower,
        first.upper_slope,
        first.upper_intercept,
    )
    right = Relaxation(
        last.upper_slope,
        6 * (1 - last.upper_slope) - last.upper_intercept,
        last.lower_slope,
        6 * (1 - last.lower_slope),
    )
    parts = zip(left, right, both, strict=True)
    return Relaxation(
        *(
            tf.where(upper <= 6, a, tf.where(lower >= 0, b, c))
            for a, b, c in parts
        )
    )


def step(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """A rising step function, such as the sign: between its end values."""
    zeros = tf.zeros_like(lower)
    return Relaxation(zeros, node.run(lower), zeros, node.run(upper))


def fake_quantization(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Rounding to a grid: within half a step of z, where nothing is clipped."""
    zeros = tf.zeros_like(lower)
    below, above = node.run(lower), node.run(upper)
    ends = node.run(zeros - 1e30), node.run(zeros + 1e30)
    levels = 2 ** node.op.get_attr("num_bits") - 1
    levels -= int(node.op.get_attr("narrow_range"))
    # Half a step, and what rounding to float32 may add.
    half = (ends[1] - ends[0]) / levels * (0.5 + 1e-5) + 1e-6 * tf.maximum(
        tf.abs(ends[0]), tf.abs(ends[1])
    )
    inside = (lower >= ends[0]) & (upper <= ends[1])
    inside &= above - below > 2 * half
    slope = tf.where(inside, 1.0, zeros)
    return Relaxation(
        slope,
        tf.where(inside, -half, below),
        slope,
        tf.where(inside, half, above),
    )


def _constant(node):
    return node.inputs[1 - node.positions[0]]
