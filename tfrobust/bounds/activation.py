"""Ops that apply one rising function to every value, and hinges among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.graph import Node


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

    def loosened(self, node: Node, moved: Any) -> Relaxation:
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

    def pull(self, forms: Forms) -> tuple[Forms, Any]:
        """The smallest that the lines allow: forms of z, and a constant.

        Where a coefficient is negative, the upper line takes the place of the
        lower one. It is added as their difference, which needs fewer products
        than to part the coefficients by sign.

        Args:
            forms: `Forms` of the activation.
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
        relaxation: A function `(node, lower, upper, alpha)` that returns the
            `Relaxation` of the activation for inputs between lower and upper.
            `alpha` in [0, 1] chooses among the lines that are sound; None takes
            the default ones.
        optimizable: Whether there is such a choice.
        hinge: Whether the function is linear on either side of 0.
        bent: Whether it is convex on one side of 0 and concave on the other.
        curved: Whether it is computed approximately, as curves are.

    Example:
        ```
        def ends(node, lower, upper, alpha=None):  # Of all that rises.
            flat = tf.zeros_like(lower)
            return Relaxation(flat, node.run(lower), flat, node.run(upper))

        rule = Activation(ends, curved=True)  # See register_rule.
        ```
    """

    linear = moves = False

    def __init__(
        self,
        relaxation: Callable[..., Relaxation],
        optimizable: bool = False,
        hinge: bool = False,
        bent: bool = False,
        curved: bool = False,
    ) -> None:
        self._relaxation, self._curved = relaxation, curved
        self.optimizable, self.hinge = optimizable, hinge
        # Whether branch and bound decides the sign of what it reads.
        self.cut = hinge or bent

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
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

    def relaxation(
        self,
        node: Node,
        lower: tf.Tensor,
        upper: tf.Tensor,
        alpha: tf.Tensor | None = None,
        moved: Any = 0.0,
    ) -> Relaxation:
        """The lines of a node that hold in float32; see `Relaxation.loosened`.

        Args:
            lower: Lower bounds of what it reads, `[batch, ...]`, or `[batch,
                forms, ...]`.
            upper: Upper bounds, likewise.
            alpha: Which of several sound lines; see `Activation`.
            moved: How far rounding may move what it reads; it broadcasts.
        """
        if node.dependent[0].shape != node.shape:  # One operand is broadcast.
            lower, upper = (
                end + tf.zeros(node.shape) for end in (lower, upper)
            )
        return self._relaxation(node, lower, upper, alpha).loosened(node, moved)

    def pull(self, node: Node, lines: Any, forms: Forms) -> tuple[Forms, Any]:
        """The smallest that the lines allow: `Forms`, and a constant."""
        found, constant = lines.pull(forms)
        return folded(found, node.shape, node.dependent[0].shape), constant

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor | None:
        """Where tighter bounds wouldn't change the lines; None if anywhere."""
        return (lower >= 0) | (upper <= 0) if self.hinge else None


def folded(forms: Forms, whole: tuple, shape: tuple) -> Forms:
    """Forms of a value that was broadcast from this shape, of what was."""
    if shape == whole:
        return forms
    dense, rank = forms.dense(whole), len(shape)
    axes = [k - rank for k in range(rank) if shape[k] != whole[k]]
    return dense.replaced(tf.reduce_sum(dense.flat, axes, keepdims=True))


def relu(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines around `max(z, 0)`.

    By default the lower one is the identity or 0, whichever encloses less
    (CROWN's adaptive slope); `alpha` is its slope where it is unstable.

    Reference: Zhang et al., 2018, arXiv 1811.00866, table 2.
    """
    return hinge_lines(lower, upper, alpha)


def parallel_relu(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """Lines of one slope around `max(z, 0)`.

    Reference: Wong and Kolter, 2018, arXiv 1711.00851, section 3.1.
    """
    chord = hinge_lines(lower, upper).upper_slope
    return hinge_lines(lower, upper, chord)


# Takes the place of the table's rules: see `Bounds`.
PARALLEL = {"Relu": Activation(parallel_relu)}


def leaky_relu(
    node: Node,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None = None,
) -> Relaxation:
    """`leak * z + (1 - leak) * max(z, 0)`, for leak in [0, 1]."""
    leak = node.op.get_attr("alpha")
    lines = hinge_lines(lower, upper, alpha)
    return Relaxation(
        leak + (1 - leak) * lines.lower_slope,
        None,
        leak + (1 - leak) * lines.upper_slope,
        (1 - leak) * lines.upper_intercept,
    )


def hinge_lines(
    lower: tf.Tensor, upper: tf.Tensor, alpha: tf.Tensor | None = None
) -> Relaxation:
    """Lines around `max(z, 0)`; alpha is the slope of the lower one."""
    # Where it is stable, one end is 0 and the chord's slope 0 or 1.
    below, above = tf.nn.relu(-lower), tf.nn.relu(upper)
    chord = tf.math.divide_no_nan(above, above + below)
    # A slope too small for float32 would take the whole line to 0.
    flat = chord < rounding.TINY
    chord = tf.where(flat, 0.0, chord)
    intercept = tf.where(flat, above, below * chord)
    if alpha is None:
        slope = tf.cast(above > below, lower.dtype)
    else:
        unstable = (below > 0) & (above > 0)
        slope = tf.where(unstable, alpha, tf.cast(lower >= 0, lower.dtype))
    return Relaxation(slope, None, chord, intercept)


def divided(numerator: Any, denominator: tf.Tensor) -> tf.Tensor:
    """Division where the denominator is positive, else 0 without NaN."""
    return tf.math.divide_no_nan(numerator, tf.maximum(denominator, 0.0))
