"""The rules of the sine and the cosine."""

import math

import tensorflow as tf

from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds import rounding, smooth
from tfrobust.bounds.activation import Activation, Relaxation
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
# Slopes that are tried.
_TRIED = 16


class Sine(Activation):
    """How to bound `sin(z + phase)`.

    What is narrower than a period is shifted by whole ones next to 0; anything
    else is only known to be between -1 and 1.

    Args:
        phase: What is added.
    """

    def __init__(self, phase: float) -> None:
        self._phase = phase
        super().__init__(self._between, optimizable=True)

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

    def _between(self, node, lower, upper, alpha=None):
        low, high, shift, fine = self._shifted(lower, upper)
        size = tf.cast(rounding.size(lower, upper), tf.float64)
        parts = []
        # The negative of the sine is the sine half a period on.
        for half, side in ((0.0, 1.0), (math.pi, -1.0)):
            ends = low + half, high + half
            slope = _slope(*ends, alpha)
            intercept = _least(slope, *ends) + slope * (shift + half)
            total = 1 + tf.abs(intercept) + tf.abs(slope) * size
            off = _ERROR + rounding.share(4) * total
            intercept -= tf.stop_gradient(off)
            slope, intercept = (
                tf.cast(side * part, lower.dtype) for part in (slope, intercept)
            )
            flat = -side * (1 + _ERROR)
            parts += [
                tf.where(fine, slope, 0.0),
                tf.where(fine, intercept, flat),
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


def _least(slope, low, high):
    """The largest intercept of a line of this slope below the sine.

    Next to both ends it may touch where the sine is convex and has this slope.
    """
    touch = -tf.acos(tf.clip_by_value(slope, -1.0, 1.0))
    places = [touch + k * _PERIOD for k in (-1, 0, 1)]
    places = [tf.minimum(tf.maximum(place, low), high) for place in places]
    places = [low, high, *map(tf.stop_gradient, places)]
    least = tf.sin(places[0]) - slope * places[0]
    for place in places[1:]:
        least = tf.minimum(least, tf.sin(place) - slope * place)
    return least


def _slope(low, high, alpha):
    """The slope of the line that is closest in the middle, or of alpha."""
    middle, width = (low + high) / 2, high - low
    narrow = width < 1e-7
    chord = tf.sin(high) - tf.sin(low)
    chord /= tf.where(narrow, tf.ones_like(width), width)
    chord = tf.where(narrow, tf.cos(middle), chord)
    found = [chord, *(tf.cos(place) for place in (middle, low, high))]
    first, last = tf.minimum(found[0], found[1]), tf.maximum(found[0], found[1])
    for slope in found[2:]:
        first, last = tf.minimum(first, slope), tf.maximum(last, slope)
    if alpha is not None:
        return first + tf.cast(alpha, first.dtype) * (last - first)
    found += [
        first + share / _TRIED * (last - first) for share in range(_TRIED)
    ]
    best, score = found[0], _least(found[0], low, high) + found[0] * middle
    for slope in found[1:]:
        reached = _least(slope, low, high) + slope * middle
        best = tf.where(reached > score, slope, best)
        score = tf.maximum(score, reached)
    return best


RULES |= {
    "Cos": Record(Sine(math.pi / 2), apart.elementwise),
    "Sin": Record(Sine(0.0), apart.elementwise),
}
