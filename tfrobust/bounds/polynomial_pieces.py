"""Lines around polynomials that change from piece to piece, and may jump.

Of a line of slope s below such a function f the intercept is `min f(z) - s z`,
which is at an end of a piece, or where a square is least: it is known exactly,
for whatever s.
"""

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.activation import Activation, Relaxation
from tfrobust.bounds.record import RULES, Record
from tfrobust.graph import Node
from tfrobust.graph.pieces import Pieces

# Of which squares are finite.
_LARGEST = 1e15


class PolynomialPieces(Activation):
    """How to bound a node that is a `graph.pieces.Pieces` of one value."""

    def __init__(self) -> None:
        super().__init__(_between, optimizable=True)

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from that of what it reads."""
        ((lower, upper),) = intervals
        pieces = _widened(node.op.detail, lower, upper)
        flat = tf.zeros_like(lower, tf.float64)
        off = _off(node.op.detail, lower, upper, flat, flat)
        least = pieces.least(flat) - off
        most = -pieces.mirrored().least(flat) + off
        # What float64 had is rounded once more.
        ends = tf.cast(least, lower.dtype), tf.cast(most, lower.dtype)
        least, most = rounding.widened(ends)
        # A square of more may overflow where another piece is chosen.
        fine = rounding.size(lower, upper) < _LARGEST
        return (
            tf.where(fine, least, -float("inf")),
            tf.where(fine, most, float("inf")),
        )


class _Clipped:
    """The pieces of a function that an interval has, in float64.

    Args:
        edges: Where pieces meet.
        parts: Their coefficients.
        lower: Lower bounds.
        upper: Upper bounds.
    """

    def __init__(self, edges, parts, lower, upper):
        self.edges, self.parts, self.ends = edges, parts, (lower, upper)
        self._pieces = []
        for k, part in enumerate(parts):
            begin = tf.maximum(lower, edges[k - 1]) if k else lower
            end = tf.minimum(upper, edges[k]) if k < len(edges) else upper
            self._pieces.append((begin, end, begin <= end, part))

    def mirrored(self):
        """The negative of the function."""
        parts = [[-value for value in part] for part in self.parts]
        return _Clipped(self.edges, parts, *self.ends)

    def least(self, slope):
        """The largest intercept of a line of this slope below."""
        found = None
        for begin, end, there, part in self._pieces:
            places = [begin, end]
            if len(part) > 2 and part[2] > 0:
                lowest = (slope - part[1]) / (2 * part[2])
                places.append(tf.minimum(tf.maximum(lowest, begin), end))
            for z in places:
                value = _value(part, z) - slope * z
                value = tf.where(there, value, float("inf"))
                found = value if found is None else tf.minimum(found, value)
        return found

    def slopes(self):
        """Those of lines that may be the closest below, in the middle."""
        lower, upper = self.ends
        middle = (lower + upper) / 2
        places = [lower, *(self._within(edge) for edge in self.edges), upper]
        values = [self._at(z) for z in places]
        found = [(values[-1] - values[0]) / _width(lower, upper)]
        for k, first in enumerate(places):
            for j in range(k + 1, len(places)):
                rise = values[j] - values[k]
                chord = rise / _width(first, places[j])
                narrow = places[j] <= first
                found.append(tf.where(narrow, found[0], chord))
        for _, _, there, part in self._pieces:
            if len(part) > 2 and part[2] > 0:
                tangent = part[1] + 2 * part[2] * middle
                found.append(tf.where(there, tangent, found[0]))
        return found

    def _within(self, edge):
        lower, upper = self.ends
        return tf.clip_by_value(tf.zeros_like(lower) + edge, lower, upper)

    def _at(self, z):
        """The lower of both limits at a place."""
        values = [
            tf.where(
                there & (begin <= z) & (z <= end),
                _value(part, z),
                float("inf"),
            )
            for begin, end, there, part in self._pieces
        ]
        least = values[0]
        for value in values[1:]:
            least = tf.minimum(least, value)
        return least


def _between(node, lower, upper, alpha=None):
    """The lines that are closest in the middle, or those of alpha."""
    pieces = _widened(node.op.detail, lower, upper)
    middle = sum(pieces.ends) / 2
    parts = []
    for side, sign in ((pieces, 1.0), (pieces.mirrored(), -1.0)):
        found = side.slopes()
        slope, score = found[0], side.least(found[0]) + found[0] * middle
        for other in found[1:]:
            reached = side.least(other) + other * middle
            slope = tf.where(reached > score, other, slope)
            score = tf.maximum(score, reached)
        if alpha is not None:
            first, last = found[0], found[0]
            for other in found[1:]:
                first, last = tf.minimum(first, other), tf.maximum(last, other)
            slope = first + tf.cast(alpha, first.dtype) * (last - first)
        intercept = side.least(slope)
        intercept -= _off(node.op.detail, lower, upper, slope, intercept)
        parts += [sign * slope, sign * intercept]
    return Relaxation(*(tf.cast(part, lower.dtype) for part in parts))


def _widened(pieces, lower, upper):
    """The pieces of an interval, with room for numbers that count as 0."""
    parts = [[float(value) for value in part] for part in pieces.parts]
    low, high = (tf.cast(end, tf.float64) for end in (lower, upper))
    low, high = low - rounding.TINY, high + rounding.TINY
    return _Clipped([float(e) for e in pieces.edges], parts, low, high)


def _off(pieces: Pieces, lower, upper, slope, intercept):
    """What rounding may add to a value, and to a line."""
    size = tf.cast(rounding.size(lower, upper), tf.float64) + rounding.TINY
    total = _value([float(value) for value in pieces.size], size)
    total += tf.abs(slope) * size + tf.abs(intercept)
    off = rounding.share(2 * pieces.roundings + 4) * total + rounding.TINY
    return tf.stop_gradient(off)


def _value(part, z):
    """A polynomial at a place."""
    value = tf.zeros_like(z)
    for coefficient in reversed(part):
        value = value * z + coefficient
    return value


def _width(first, last):
    return tf.where(last > first, last - first, tf.ones_like(first))


RULES["Pieces"] = Record(PolynomialPieces(), lambda node: True)
