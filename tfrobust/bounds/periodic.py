"""The rules of the sine and the cosine."""

import math
from typing import Any

import tensorflow as tf

from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds import rounding, smooth
from tfrobust.bounds.activation import Activation, Relaxation
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.record import RULES, Record
from tfrobust.bounds.smooth import Curve
from tfrobust.graph import Node

_PERIOD = 2 * math.pi
# From two periods on, where what is shifted by whole ones lies.
SINE = Curve(
    tf.sin,
    tf.cos,
    True,
    tuple(k * math.pi for k in range(-2, 3)),
    tuple(k * math.pi / 2 for k in (-3, -1, 1, 3)),
)
# Of larger numbers float32 knows the place within a period too badly.
_LARGEST = 1e4
_ERROR = 2 * rounding.APPROXIMATION


class Sine:
    """How to bound `sin(z + phase)`.

    What is narrower than a period is shifted by whole ones next to 0; anything
    else is only known to be between -1 and 1.

    Args:
        phase: What is added.
    """

    linear = moves = hinge = False
    optimizable = True

    def __init__(self, phase: float) -> None:
        self._phase = phase
        self._lines = Activation(self._between, optimizable=True)

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from that of what it reads."""
        ((lower, upper),) = intervals
        low, high, _, fine = self._shifted(lower, upper)
        least, most = smooth.extremes(SINE, low, high)
        least = tf.where(fine, tf.cast(least, lower.dtype), -1.0)
        most = tf.where(fine, tf.cast(most, lower.dtype), 1.0)
        # More than rounding takes, and what isn't a number stays none.
        nothing = 0.0 * (upper - lower)
        return least - _ERROR + nothing, most + _ERROR + nothing

    def relaxation(
        self,
        node: Node,
        lower: tf.Tensor,
        upper: tf.Tensor,
        alpha: tf.Tensor | None = None,
        moved: Any = 0.0,
    ) -> Relaxation:
        """The lines of a node; see `Activation.relaxation`."""
        return self._lines.relaxation(node, lower, upper, alpha, moved)

    def pull(self, node: Node, lines: Any, forms: Forms) -> tuple[Forms, Any]:
        """The smallest that the lines allow: `Forms`, and a constant."""
        return self._lines.pull(node, lines, forms)

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> None:
        """Where tighter bounds wouldn't change the lines: nowhere."""
        return None

    def _between(self, node, lower, upper, alpha=None):
        low, high, shift, fine = self._shifted(lower, upper)
        found = smooth.lines(SINE, low, high, alpha, _ERROR)
        size = tf.cast(rounding.size(lower, upper), tf.float64)
        parts = []
        for slope, intercept, side in (
            (found.lower_slope, found.lower_intercept, -1.0),
            (found.upper_slope, found.upper_intercept, 1.0),
        ):
            intercept += slope * shift
            total = tf.abs(intercept) + tf.abs(slope) * size
            intercept += side * tf.stop_gradient(rounding.share(4) * total)
            parts += [
                tf.where(fine, tf.cast(slope, lower.dtype), 0.0),
                tf.where(
                    fine,
                    tf.cast(intercept, lower.dtype),
                    side * (1 + _ERROR),
                ),
            ]
        return Relaxation(*parts)

    def _shifted(self, lower, upper):
        """Ends next to 0, by what they were shifted, and whether they fit."""
        low, high = (tf.cast(end, tf.float64) for end in (lower, upper))
        fine = (upper - lower < 6.28) & (rounding.size(lower, upper) < _LARGEST)
        low, high = (tf.where(fine, end, 0.0) for end in (low, high))
        middle = (low + high) / 2 + self._phase
        shift = self._phase - _PERIOD * tf.round(middle / _PERIOD)
        shift = tf.stop_gradient(shift)
        return low + shift, high + shift, shift, fine


RULES |= {
    "Cos": Record(Sine(math.pi / 2), apart.elementwise),
    "Sin": Record(Sine(0.0), apart.elementwise),
}
