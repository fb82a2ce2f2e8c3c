"""Lines around functions that rise by steps."""

import tensorflow as tf

from tfrobust.bounds.activation import Relaxation


def step(node, lower, upper, free=None):
    """A rising step function, such as the sign: between its end values."""
    zeros = tf.zeros_like(lower)
    return Relaxation(zeros, node.run(lower), zeros, node.run(upper))


def fake_quantization(node, lower, upper, free=None):
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
