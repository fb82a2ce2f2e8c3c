"""How to bound an op that computes a curve."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.bounds import rounding, smooth
from tfrobust.bounds.activation import Activation, Relaxation
from tfrobust.graph import Node


class Smooth(Activation):
    """How to bound a curve, rising or not, of every single value.

    Args:
        curve: A function of a node that gives the `smooth.Curve`.
        roundings: How often what computes it in float32 is approximate.
    """

    def __init__(
        self, curve: Callable[[Node], smooth.Curve], roundings: int = 1
    ) -> None:
        self._curve = curve
        self._error = roundings * rounding.APPROXIMATION
        super().__init__(self._between, optimizable=True)

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node; infinite where there is no value."""
        ((lower, upper),) = intervals
        curve = self._curve(node)
        if curve.odd:
            below = upper < 0
            least, most = self._range(curve, *_mirrored(below, lower, upper))
            return _mirrored(below, least, most)
        return self._range(curve, lower, upper)

    def _range(self, curve, lower, upper):
        size = curve.spread * rounding.size(lower, upper)
        least, most = smooth.extremes(curve, lower, upper)
        below = least - self._error * (1 + tf.abs(least) + size)
        above = most + self._error * (1 + tf.abs(most) + size)
        if not curve.positive:
            return below, above
        fine = lower > 0
        return (
            tf.where(fine, below, -float("inf")),
            tf.where(fine, above, float("inf")),
        )

    def _between(self, node, lower, upper, alpha=None):
        """The lines; of nothing where there is no value."""
        curve = self._curve(node)
        if not curve.odd:
            return self._lines(curve, lower, upper, alpha)
        negative = upper < 0
        lower, upper = _mirrored(negative, lower, upper)
        found = self._lines(curve, lower, upper, alpha)
        slope, below, steeper, above = found
        below, above = _mirrored(negative, below, above)
        return Relaxation(
            tf.where(negative, steeper, slope),
            below,
            tf.where(negative, slope, steeper),
            above,
        )

    def _lines(self, curve, lower, upper, alpha):
        if curve.positive:
            fine = lower > 0
            lower, upper = (tf.where(fine, end, 1.0) for end in (lower, upper))
        return smooth.lines(curve, lower, upper, alpha, self._error)


def _mirrored(where, lower, upper):
    """The ends of minus an interval, where that is asked for."""
    return tf.where(where, -upper, lower), tf.where(where, -lower, upper)
