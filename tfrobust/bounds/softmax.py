"""Planes around a softmax, and around its logarithm, inside of a network.

With `LSE(x) = log(sum(exp(x)))` the logarithm of a softmax is `x_k - LSE(x)`.
LSE is convex, and so above its tangents; and no larger than the logarithm of S,
the sum of the chords of `exp(x_i)`, which is concave and so below its tangents.
Likewise `exp(x_k) / S` is below the softmax and convex, and the chord of exp
over the values of its logarithm above it and concave.

Reference: Wei et al., 2023, arXiv 2303.01713, sections 3.1 and 3.2.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.record import RULES, Record
from tfrobust.graph import Node

# How far a softmax in float32 may be from it, of its value: differences of up
# to 104 are rounded before they are exponents.
_ERROR = 1e-5
# What may be lost in float64.
_LOST = 1e-300
# Wider boxes have no planes but constants.
_WIDEST = 80.0


class Softmax:
    """How to bound a softmax over the last axis.

    Args:
        logarithm: Whether its logarithm is taken.
    """

    linear = moves = hinge = optimizable = False

    def __init__(self, logarithm: bool) -> None:
        self._logarithm = logarithm

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from that of what it reads."""
        ((lower, upper),) = intervals
        least, most = _logarithms(lower, upper)
        count = lower.shape[-1]
        if self._logarithm:
            off = (_ERROR + rounding.share(count)) * (1 - least)
            ends = least - off, tf.minimum(most + off, _ERROR)
        else:
            off = _ERROR + rounding.share(count)
            low = tf.exp(least) * (1 - off) - rounding.TINY
            high = tf.exp(most) * (1 + off) + rounding.TINY
            ends = tf.maximum(low, 0.0), tf.minimum(high, 1 + off)
        least, most = (tf.cast(end, lower.dtype) for end in ends)
        # What isn't a number is none here either.
        nothing = 0.0 * (upper - lower)
        return least + nothing, most + nothing

    def planes(self, node: Node, parts: list) -> Any:
        """The planes of a node that hold in float32.

        Args:
            node: The node.
            parts: Of what it reads the interval, and how far rounding may move
                it: see `Drifts.parts`.
        """
        ((lower, upper, moved),) = parts
        low, high = (tf.cast(end, tf.float64) for end in (lower, upper))
        narrow = tf.reduce_all(high - low < _WIDEST, -1, keepdims=True)
        sides = [
            [tf.cast(part, lower.dtype) for part in side]
            for side in self._sides(low, high, narrow)
        ]
        count = lower.shape[-1]
        size = rounding.size(lower, upper)
        moved = 1.001 * moved + rounding.share(2 * count + 16) * size
        moved = tf.where(narrow, moved, 0.0)
        largest = self._largest(lower, upper)
        found, summed = [], 0.0
        for diagonal, row, intercept in sides:
            off = tf.reduce_sum(row * moved, -1, keepdims=True)
            off = diagonal * (moved + off)
            off += rounding.share(8) * tf.abs(intercept)
            off += (_ERROR + rounding.share(count)) * largest
            summed += tf.abs(intercept) + off
            found.append((diagonal, row, intercept, off))
        extra = 2 * rounding.share(node.size) * summed + rounding.TINY
        (a, b, c, off), (d, e, f, more) = found
        c -= tf.stop_gradient(off + extra)
        f += tf.stop_gradient(more + extra)
        return Planes(node, (a, b, c), (d, e, f))

    def pull(self, node: Node, lines: Any, forms: Forms) -> tuple[Forms, Any]:
        """The smallest that the planes allow: `Forms`, and a constant."""
        return lines.pull(forms)

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> None:
        """Where tighter bounds wouldn't change the planes: nowhere."""
        return None

    def _largest(self, lower, upper):
        """The largest magnitude of each value."""
        least, most = _logarithms(lower, upper)
        size = -least if self._logarithm else tf.exp(most)
        return tf.cast(tf.stop_gradient(size), lower.dtype)

    def _sides(self, low, high, narrow):
        """The planes below and above: diagonal, row, intercept, in float64.

        Value k is bounded by `diagonal_k * (x_k - sum(row * x)) + intercept_k`.
        """
        shift = tf.stop_gradient(tf.reduce_max(high, -1, keepdims=True))
        begin, end = low - shift, high - shift
        # Where there are no planes, of anything narrow.
        begin = tf.where(narrow, begin, end)
        least, most = _logarithms(low, high)
        middle = (begin + end) / 2
        chord, above = _chord(begin, end)
        total = tf.reduce_sum(chord * middle + above, -1, keepdims=True)
        row = chord / total
        weights = tf.nn.softmax(middle)
        logarithm = tf.nn.log_softmax(middle)
        here = middle - tf.reduce_sum(row * middle, -1, keepdims=True)
        there = middle - tf.reduce_sum(weights * middle, -1, keepdims=True)
        if self._logarithm:
            ones = tf.ones_like(middle)
            # Below: x_k - log(total) - (S - total) / total.
            value = middle - tf.math.log(total)
            sides = [
                (ones, row, value - here, least),
                (ones, weights, logarithm - there, most),
            ]
        else:
            value = tf.exp(middle) / total
            slope, base = _chord_of_exp(least, most)
            rise = base + slope * logarithm
            sides = [
                (value, row, value - value * here, tf.exp(least)),
                (slope, weights, rise - slope * there, tf.exp(most)),
            ]
        for diagonal, weighed, intercept, constant in sides:
            # Back from what was shifted.
            moved = shift * (1 - tf.reduce_sum(weighed, -1, keepdims=True))
            intercept -= diagonal * moved
            yield (
                tf.where(narrow, diagonal, 0.0),
                tf.where(narrow, weighed, 0.0),
                tf.where(narrow, intercept, constant),
            )


class Planes(NamedTuple):
    """Planes around a softmax; each side is diagonal, row and intercept."""

    node: Any
    below: tuple
    above: tuple

    def pull(self, forms: Forms) -> tuple[Forms, Any]:
        """The smallest that the planes allow: `Forms`, and a constant."""
        own = forms.scaled(tf.ones_like(self.below[2])).dense(self.node.shape)
        negative = own.negative()
        pulled = self._side(own, own.flat - negative.flat, self.below)
        pulled += self._side(own, negative.flat, self.above)
        gap = self.above[2] - self.below[2]
        constant = own.dot(self.below[2]) + negative.dot(gap)
        return own.replaced(pulled), constant

    def _side(self, own, flat, side):
        diagonal, row, _ = side
        scaled = flat * own.read(diagonal)
        total = tf.reduce_sum(scaled, -1, keepdims=True)
        return scaled - total * own.read(row)


def _logarithms(lower, upper):
    """The least and the largest logarithm of each value, in float64.

    With all others at their other end.
    """
    low, high = (tf.cast(end, tf.float64) for end in (lower, upper))
    found = []
    for own, others, lost in ((low, high, _LOST), (high, low, 0.0)):
        largest = tf.stop_gradient(tf.reduce_max(others, -1, keepdims=True))
        values = tf.exp(others - largest)
        # Without the own one: what would cancel.
        rest = tf.cumsum(values, -1, exclusive=True)
        rest += tf.cumsum(values, -1, exclusive=True, reverse=True)
        found.append(-tf.math.softplus(largest - own + _log(rest + lost)))
    return found


def _log(value):
    """The logarithm; a very small number for 0."""
    return tf.where(
        value > 0, tf.math.log(tf.where(value > 0, value, 1.0)), -1e300
    )


def _chord(begin, end):
    """Slope and intercept of a line above exp, through both ends."""
    width = end - begin
    narrow = width < 1e-7
    rise = tf.exp(end) - tf.exp(begin)
    slope = rise / tf.where(narrow, tf.ones_like(width), width)
    slope = tf.where(narrow, tf.exp(begin), slope)
    return slope, _highest(slope, begin, end)


def _chord_of_exp(least, most):
    """The same for ends that may be far apart."""
    slope, _ = _chord(tf.maximum(least, -700.0), tf.maximum(most, -690.0))
    return slope, _highest(slope, least, most)


def _highest(slope, begin, end):
    """The intercept of a line of this slope above exp between two ends."""
    return tf.maximum(tf.exp(begin) - slope * begin, tf.exp(end) - slope * end)


def _alone(node):
    """Whether it reads one value of its own shape."""
    return node.positions == [0] and node.dependent[0].shape == node.shape


RULES |= {
    "InnerLogSoftmax": Record(Softmax(True), _alone),
    "InnerSoftmax": Record(Softmax(False), _alone),
}
