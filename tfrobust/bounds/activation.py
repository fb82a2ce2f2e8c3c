"""Ops that apply one rising function to every value, and hinges among them."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding


class Relaxation(NamedTuple):
    """Two lines that enclose an activation wherever its input may be.

    `lower_slope * z + lower_intercept <= activation(z)` and
    `activation(z) <= upper_slope * z + upper_intercept` for all z within the
    bounds that the lines were made for. Every part has the shape of the
    activation, `[batch, ...]`, or `[batch, forms, ...]` if the forms that
    are bounded have lines of their own. An intercept may be None for 0.
    """

    lower_slope: Any
    lower_intercept: Any
    upper_slope: Any
    upper_intercept: Any

    def loosened(self, node, moved):
        """The same lines, moved apart by what rounding may add.

        Args:
            node: The node of the activation.
            moved: How far rounding may move what it reads; see `Drifts.moved`.
        """
        below, above = (
            0.0 if part is None else part
            for part in (self.lower_intercept, self.upper_intercept)
        )
        # All values of the activation are summed up for each form. Both
        # slopes take part wherever a coefficient is negative: see `pull`.
        summed = 2 * rounding.share(node.size) * (tf.abs(below) + tf.abs(above))
        steepest = tf.maximum(
            tf.abs(self.lower_slope), tf.abs(self.upper_slope)
        )
        apart = tf.stop_gradient((1 + 1e-3) * steepest * moved + summed)
        return self._replace(
            lower_intercept=below - apart, upper_intercept=above + apart
        )

    def pull(self, forms):
        """The smallest that the lines allow: forms of z, and a constant.

        Where a coefficient is negative, the upper line takes the place of the
        lower one. It is added as their difference, which needs fewer products
        than to part the coefficients by sign.

        Args:
            forms: `Forms` of the activation.

        Returns:
            The `Forms`, and the constant, `[*forms]`.
        """
        negative = forms.negative()
        steeper = negative.scaled(self.upper_slope - self.lower_slope)
        slopes = forms.scaled(self.lower_slope).plus(steeper)
        below, gap = self.lower_intercept, self.upper_intercept
        if below is None:
            return slopes, 0.0 if gap is None else negative.dot(gap)
        gap = (0.0 if gap is None else gap) - below
        return slopes, forms.dot(below) + negative.dot(gap)


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
        off = rounding.APPROXIMATION
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
