"""Ops that multiply two values that depend on the input: see `planes`."""

import math
from typing import Any

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.planes import (
    ElementwisePlanes,
    MatrixPlanes,
    product,
    towards_zero,
)
from tfrobust.bounds.record import RULES, Record
from tfrobust.graph import Node


class Bilinear:
    """How to bound a product of two values, or a sum of such products.

    Args:
        elementwise: Whether it multiplies value by value.
    """

    linear = moves = hinge = False
    optimizable = True

    def __init__(self, elementwise: bool) -> None:
        self._elementwise = elementwise

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from those of its factors."""
        (low, high), (below, above), *whole = intervals
        sizes = rounding.size(low, high), rounding.size(below, above)
        total = product(node, *sizes)
        off = rounding.share(2 * _terms(node) + 8) * total + rounding.TINY
        off = tf.stop_gradient(off)
        if self._elementwise:
            products = [
                product(node, x, y) for x in (low, high) for y in (below, above)
            ]
            a, b, c, d = products
            least = tf.minimum(tf.minimum(a, b), tf.minimum(c, d))
            most = tf.maximum(tf.maximum(a, b), tf.maximum(c, d))
            limit = _limit(node, sizes[1], whole)
            return _within(limit, least - off, most + off)
        (x, a), (y, b) = _around(low, high), _around(below, above)
        centre = node.run(x, y)
        radius = node.run(tf.abs(x) + a, b) + node.run(a, tf.abs(y)) + 2 * off
        return centre - radius, centre + radius

    def planes(
        self, node: Node, parts: list, alpha: tf.Tensor | None = None
    ) -> Any:
        """The planes of a node that hold in float32.

        Args:
            node: The node.
            parts: Of each factor its interval, and how far rounding may move
                it: see `Drifts.parts`.
            alpha: Which plane of each pair, or what in between, `[batch,
                forms, ...]`; None for the default.
        """
        (low, high, moved), (below, above, stirred), *whole = parts
        (x, a), (y, b) = factors = _around(low, high), _around(below, above)
        sizes = rounding.size(low, high), rounding.size(below, above)
        # No term of a plane is larger, nor any two of them together.
        largest = 1.001 * product(node, *sizes)
        off = 4 * rounding.share(2 * _terms(node) + 16) * largest
        off += 1.001 * product(node, moved, sizes[1])
        off += 1.001 * product(node, sizes[0], stirred)
        centre, radius = product(node, x, y), product(node, a, b)
        # All values of the product are summed up for each form.
        summed = 2 * rounding.share(node.size) * (largest + off)
        off += summed + rounding.TINY
        radius += tf.stop_gradient(off)
        limit, known = _limit(node, sizes[1], whole), None
        if limit is not None:
            # Where planes are no closer than the limit, that is.
            limit += 2 * rounding.share(node.size) * limit
            inside = radius < limit
            known = tf.cast(inside, tf.float32)
            centre = tf.where(inside, centre, 0.0)
            radius = tf.where(inside, radius, limit)
        tilt = towards_zero(*factors) if self._elementwise else None
        if alpha is not None:
            tilt = 2 * alpha - 1, tf.zeros_like(alpha)
        kind = ElementwisePlanes if self._elementwise else MatrixPlanes
        return kind(node, factors, centre, radius, known, tilt)

    def pull(self, node: Node, lines: Any, forms: Forms) -> tuple[list, Any]:
        """The smallest that the planes allow: `Forms`, and a constant."""
        return lines.pull(forms)

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> None:
        """Where tighter bounds wouldn't change the planes: nowhere."""
        return None


def _around(lower, upper):
    """The centre of an interval, and a radius that reaches both ends."""
    centre = (lower + upper) / 2
    radius = tf.maximum(upper - centre, centre - lower)
    off = rounding.share(0) * radius + rounding.TINY
    return centre, radius + tf.stop_gradient(off)


def _limit(node, factor, whole):
    """What no magnitude of a product exceeds, in float32; None if unknown.

    Args:
        node: The node.
        factor: The magnitudes of the second factor.
        whole: The interval of what the first is a difference of, in a list;
            empty if nothing else was rounded.
    """
    limit = node.op.detail.limit
    if limit == math.inf:
        return None
    limit *= 1 + rounding.share(node.size) + 10 * rounding.APPROXIMATION
    for lower, upper, *_ in whole:
        axes = list(range(1, lower.shape.rank))
        size = rounding.size(lower, upper)
        largest = tf.reduce_max(size, axes, keepdims=True)
        limit += 4 * rounding.share(8) * largest * tf.stop_gradient(factor)
    return limit + tf.zeros(node.shape)


def _within(limit, least, most):
    """What of an interval is within a limit; nothing of what isn't finite."""
    if limit is None:
        return least, most
    finite = tf.math.is_finite(least) & tf.math.is_finite(most)
    return (
        tf.where(finite, tf.clip_by_value(least, -limit, limit), least),
        tf.where(finite, tf.clip_by_value(most, -limit, limit), most),
    )


def _terms(node):
    """Terms of a value, and of a coefficient of what it reads."""
    count = node.op.detail.products
    smallest = min(given.size for given in node.dependent[:2])
    return -(-count // node.size) - (-count // max(1, smallest))


def _both(node):
    """Whether it reads no constants; what it reads has been recognised."""
    return len(node.dependent) == len(node.inputs)


RULES |= {
    "Normalized": Record(Bilinear(True), _both),
    "MatrixProduct": Record(Bilinear(False), _both),
    "Product": Record(Bilinear(True), _both),
}
