"""Ops that apply one rising function to every value."""

import tensorflow as tf

from tfrobust.bounds import curves
from tfrobust.bounds.relaxation import Relaxation


class Activation:
    """How to bound a rising function of every single value.

    Args:
        relaxation: A function `(node, lower, upper, free)` that returns the
            `Relaxation` of the activation for inputs between lower and upper.
            `free` in [0, 1] chooses among the lines that are sound; None takes
            the default ones.
        free: Whether there is such a choice.
        hinge: Whether the function is linear on either side of 0.
        curved: Whether it is computed approximately, as curves are.
    """

    linear = moves = False

    def __init__(self, relaxation, free=False, hinge=False, curved=False):
        self._relaxation, self.free, self.hinge = relaxation, free, hinge
        self._curved = curved

    def interval(self, node, intervals):
        """The interval of a node from those of its dependent inputs."""
        lower, upper = map(node.run, *intervals)
        if not self._curved:
            return lower, upper
        # Where a curve is flat, what approximates it may fall a little.
        off = curves.APPROXIMATION
        return (
            tf.minimum(lower, upper) - off * (1 + tf.abs(lower)),
            tf.maximum(lower, upper) + off * (1 + tf.abs(upper)),
        )

    def relaxation(self, node, lower, upper, free=None, moved=0.0):
        """The lines of a node that hold in float32; see `Relaxation.loosened`.

        Args:
            node: The node.
            lower: Lower bounds of what it reads, `[batch, ...]`, or `[batch,
                forms, ...]`.
            upper: Upper bounds, likewise.
            free: Which of several sound lines; see `Activation`.
            moved: How far rounding may move what it reads, in a shape that
                broadcasts.
        """
        if node.dependent[0].shape != node.shape:  # One operand is broadcast.
            lower, upper = (
                end + tf.zeros(node.shape) for end in (lower, upper)
            )
        return self._relaxation(node, lower, upper, free).loosened(node, moved)

    def pull(self, node, lines, forms):
        """The smallest that the lines allow: `Forms`, and a constant."""
        found, constant = lines.pull(forms)
        shape = node.dependent[0].shape
        if shape == node.shape:
            return found, constant
        whole = found.dense(node.shape)
        rank = len(shape)
        axes = [k - rank for k in range(rank) if shape[k] != node.shape[k]]
        summed = tf.reduce_sum(whole.flat, axes, keepdims=True)
        return whole.replaced(summed), constant

    def settled(self, lower, upper):
        """Where tighter bounds wouldn't change the lines; None if anywhere."""
        return (lower >= 0) | (upper <= 0) if self.hinge else None


def relu(node, lower, upper, free=None):
    """Lines around `max(z, 0)`.

    By default the lower one is the identity or 0, whichever encloses less
    (CROWN's adaptive slope); `free` is its slope where the sign is open.

    Reference: Zhang et al., 2018, arXiv 1811.00866, table 2.
    """
    return _hinge(lower, upper, free)


def parallel_relu(node, lower, upper, free=None):
    """Lines of one slope around `max(z, 0)`.

    Reference: Wong and Kolter, 2018, arXiv 1711.00851, section 3.1.
    """
    chord = _hinge(lower, upper).upper_slope
    return _hinge(lower, upper, chord)


# Takes the place of the table's rules: see `Bounds`.
PARALLEL = {"Relu": Activation(parallel_relu)}


def leaky_relu(node, lower, upper, free=None):
    """`alpha * z + (1 - alpha) * max(z, 0)`, for alpha in [0, 1]."""
    alpha = node.op.get_attr("alpha")
    lines = _hinge(lower, upper, free)
    return Relaxation(
        alpha + (1 - alpha) * lines.lower_slope,
        None,
        alpha + (1 - alpha) * lines.upper_slope,
        (1 - alpha) * lines.upper_intercept,
    )


def maximum(node, lower, upper, free=None):
    """`max(z, c) = c + max(z - c, 0)`, for a constant c."""
    constant = _constant(node)
    lines = _hinge(lower - constant, upper - constant, free)
    return Relaxation(
        lines.lower_slope,
        constant * (1 - lines.lower_slope),
        lines.upper_slope,
        lines.upper_intercept + constant * (1 - lines.upper_slope),
    )


def minimum(node, lower, upper, free=None):
    """`min(z, c) = c - max(c - z, 0)`, for a constant c."""
    constant = _constant(node)
    lines = _hinge(constant - upper, constant - lower, free)
    return Relaxation(
        lines.upper_slope,
        constant * (1 - lines.upper_slope) - lines.upper_intercept,
        lines.lower_slope,
        constant * (1 - lines.lower_slope),
    )


def relu6(node, lower, upper, free=None):
    """`min(max(z, 0), 6)`: a hinge at either end, or both."""
    first = _hinge(lower, upper, free)
    last = _hinge(6 - upper, 6 - lower, free)
    # With both within reach: below, a line from (0, 0) to (upper, 6) or 0;
    # above, a line from (lower, 0) to (6, 6) or 6.
    rise, reach = _divide(6.0, upper), _divide(6.0, 6 - lower)
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


def _hinge(lower, upper, free=None):
    """Lines around `max(z, 0)`."""
    open_sign = (lower < 0) & (upper > 0)
    always = tf.cast(lower >= 0, lower.dtype)
    chord = tf.where(open_sign, _divide(upper, upper - lower), always)
    if free is None:
        free = tf.cast(upper > -lower, lower.dtype)
    slope = tf.where(open_sign, free, always)
    return Relaxation(
        slope, None, chord, tf.where(open_sign, -lower * chord, 0.0)
    )


def _divide(numerator, denominator):
    """Division where the denominator is positive, else 0 without NaN."""
    return tf.math.divide_no_nan(numerator, tf.maximum(denominator, 0.0))


def _constant(node):
    """The other operand."""
    return node.inputs[1 - node.positions[0]]
