"""Lines around any curve of which bends and turns are known.

A line of slope s below a curve f may have the intercept `min f(z) - s z`, for
whatever s. Where f is concave, that is least at an end; where it is convex, at
the one point of slope s, which halving encloses: a tangent bounds what lies
within. So every slope gives a line that is sound, and which one is chosen
decides only how tight it is. All of that is computed in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrobust.bounds.activation import Relaxation

# Halvings: of what encloses a minimum, and of what chooses a slope.
_ENCLOSING, _CHOOSING = 32, 20
_INFINITE = 3e38


class Curve(NamedTuple):
    """A continuous function of single values, and its shape.

    Args:
        value: The function, of float64.
        slope: Its derivative, where it has one.
        convex: Whether it is convex before the first bend.
        bends: Where it turns from convex to concave or back, rising; a kink is
            one, too. In between it has a derivative.
        turns: Where its derivative changes sign.
        positive: Whether it is a function of positive numbers only.
        odd: Whether it is minus itself where z is negative, which is then as
            good as positive.
        spread: What the error of a factor is multiplied by: 1 for a product
            with z.
    """

    value: Callable
    slope: Callable
    convex: bool = True
    bends: tuple = ()
    turns: tuple = ()
    positive: bool = False
    odd: bool = False
    spread: float = 0.0

    @property
    def mirrored(self) -> "Curve":
        """The negative of the function."""
        return self._replace(
            value=lambda z: -self.value(z),
            slope=lambda z: -self.slope(z),
            convex=not self.convex,
        )

    def convex_pieces(self, lower: tf.Tensor, upper: tf.Tensor) -> list:
        """What is convex of an interval: pairs of ends, equal if none is."""
        ends = [-_INFINITE, *self.bends, _INFINITE]
        pieces = list(zip(ends[:-1], ends[1:], strict=True))
        return [
            (
                tf.minimum(tf.maximum(lower, begin), upper),
                tf.maximum(tf.minimum(upper, end), lower),
            )
            for begin, end in pieces[0 if self.convex else 1 :: 2]
        ]


def extremes(
    curve: Curve, lower: tf.Tensor, upper: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The least and the largest value over intervals, in their type."""
    ends = [tf.cast(end, tf.float64) for end in (lower, upper)]
    places = ends + [
        tf.clip_by_value(t + 0 * ends[0], *ends) for t in curve.turns
    ]
    values = [curve.value(place) for place in places]
    least, most = values[0], values[0]
    for value in values[1:]:
        least, most = tf.minimum(least, value), tf.maximum(most, value)
    return tf.cast(least, lower.dtype), tf.cast(most, lower.dtype)


def lines(
    curve: Curve,
    lower: tf.Tensor,
    upper: tf.Tensor,
    alpha: tf.Tensor | None,
    error: float,
) -> Relaxation:
    """Lines around a curve between two bounds.

    Args:
        curve: The `Curve`.
        lower: Lower bounds, float32.
        upper: Upper bounds.
        alpha: Which slope, from that at the lower end to that at the upper one;
            None for the line that is closest to the curve in the middle.
        error: How far what computes the curve in float32 may be off, of 1 and
            of its value.
    """
    low, high = (tf.cast(end, tf.float64) for end in (lower, upper))
    size = tf.maximum(tf.abs(low), tf.abs(high))
    parts = []
    for side, sign in ((curve, 1.0), (curve.mirrored, -1.0)):
        slope = _slope(side, low, high, alpha)
        intercept = _least(side, slope, low, high)
        # The line is rounded to float32 too.
        total = tf.abs(intercept) + (tf.abs(slope) + curve.spread) * size
        intercept -= tf.stop_gradient(error * (1 + total))
        parts += [sign * slope, sign * intercept]
    return Relaxation(*(tf.cast(part, lower.dtype) for part in parts))


def _least(curve, slope, lower, upper):
    """The largest intercept of a line of this slope below the curve."""

    def above(z):
        return curve.value(z) - slope * z

    least = tf.minimum(above(lower), above(upper))
    for bend in curve.bends:
        least = tf.minimum(
            least, above(tf.clip_by_value(bend + 0 * lower, lower, upper))
        )
    for begin, end in curve.convex_pieces(lower, upper):
        falls, rises = _halved(
            lambda z: curve.slope(z) < slope, begin, end, slope, _ENCLOSING
        )
        # From the end that is no end of the piece, where a slope is one.
        place = tf.where(rises < end, rises, falls)
        off = tf.abs(curve.slope(place) - slope)
        off = tf.math.multiply_no_nan(off, rises - falls)
        least = tf.minimum(least, above(place) - off)
    return least


def _slope(curve, lower, upper, alpha):
    """The slope of a line below the curve."""
    middle = (lower + upper) / 2
    found = [curve.slope(middle)]
    if not curve.bends:
        found = found if curve.convex else [_chord(curve, lower, upper)]
    else:
        found.append(_chord(curve, lower, upper))
        for begin, end in curve.convex_pieces(lower, upper):
            found += [
                _tangent(curve, lower, begin, end),
                _tangent(curve, upper, begin, end),
            ]
    if len(found) > 1:
        scores = [_least(curve, s, lower, upper) + s * middle for s in found]
        best, score = found[0], scores[0]
        for slope, other in zip(found[1:], scores[1:], strict=True):
            best = tf.where(other > score, slope, best)
            score = tf.where(other > score, other, score)
    else:
        (best,) = found
    if alpha is None:
        return best
    first = last = best
    for slope in found + [curve.slope(begin) for begin in (lower, upper)]:
        slope = tf.where(tf.math.is_finite(slope), slope, best)
        first, last = tf.minimum(first, slope), tf.maximum(last, slope)
    return first + tf.cast(alpha, first.dtype) * (last - first)


def _chord(curve, lower, upper):
    """The slope of the line through both ends."""
    width = upper - lower
    narrow = width <= 1e-7 * (1 + tf.abs(lower))
    rise = curve.value(upper) - curve.value(lower)
    middle = curve.slope((lower + upper) / 2)
    return tf.where(
        narrow, middle, rise / tf.where(narrow, tf.ones_like(width), width)
    )


def _tangent(curve, end, begin, stop):
    """The slope of a tangent of a convex piece that passes through an end."""
    top = curve.value(end)

    def below(touch):
        reached = curve.value(touch) + curve.slope(touch) * (end - touch)
        return (reached < top) == (end > touch)

    left, right = _halved(below, begin, stop, end, _CHOOSING)
    return curve.slope((left + right) / 2)


def _halved(holds, begin, end, like, times):
    """Encloses the last place of a piece at which something holds."""
    static = tf.broadcast_static_shape(begin.shape, like.shape)
    shape = tf.broadcast_dynamic_shape(tf.shape(begin), tf.shape(like))
    begin, end = (
        tf.ensure_shape(tf.broadcast_to(tf.stop_gradient(place), shape), static)
        for place in (begin, end)
    )

    def halve(left, right):
        middle = (left + right) / 2
        holds_there = holds(middle)
        return (
            tf.where(holds_there, middle, left),
            tf.where(holds_there, right, middle),
        )

    found = tf.while_loop(
        lambda *_: True, halve, (begin, end), maximum_iterations=times
    )
    return [tf.stop_gradient(tf.ensure_shape(place, static)) for place in found]
