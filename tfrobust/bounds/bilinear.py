"""Planes around products of two values that depend on the input.

With x within a of its centre m, and y within b of n, a product differs from
what is linear in either, `m * y + x * n - m * n`, by `(x - m) * (y - n)`, and
so by at most `a * b`. These are the planes of McCormick, in the middle of each of
his pairs; the same holds of sums of products.

Reference: McCormick, 1976, Mathematical Programming 10, section 4.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.activation import folded
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.record import RULES, Record
from tfrobust.graph import Node


class Bilinear:
    """How to bound a product of two values, or a sum of such products.

    Args:
        elementwise: Whether it multiplies value by value.
    """

    linear = moves = hinge = optimizable = False

    def __init__(self, elementwise: bool) -> None:
        self._elementwise = elementwise

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from those of its factors."""
        (low, high), (below, above) = intervals
        total = node.run(rounding.size(low, high), rounding.size(below, above))
        off = rounding.share(2 * _terms(node) + 8) * total + rounding.TINY
        off = tf.stop_gradient(off)
        if self._elementwise:
            products = [
                node.run(x, y) for x in (low, high) for y in (below, above)
            ]
            a, b, c, d = products
            least = tf.minimum(tf.minimum(a, b), tf.minimum(c, d))
            most = tf.maximum(tf.maximum(a, b), tf.maximum(c, d))
            return least - off, most + off
        (x, a), (y, b) = _around(low, high), _around(below, above)
        centre = node.run(x, y)
        radius = node.run(tf.abs(x) + a, b) + node.run(a, tf.abs(y)) + 2 * off
        return centre - radius, centre + radius

    def planes(self, node: Node, parts: list) -> Any:
        """The planes of a node that hold in float32.

        Args:
            node: The node.
            parts: Of each factor its interval, and how far rounding may move
                it: see `Drifts.parts`.
        """
        (low, high, moved), (below, above, stirred) = parts
        (x, a), (y, b) = _around(low, high), _around(below, above)
        sizes = rounding.size(low, high), rounding.size(below, above)
        off = 4 * rounding.share(2 * _terms(node) + 16) * node.run(*sizes)
        off += 1.001 * node.run(moved, sizes[1])
        off += 1.001 * node.run(sizes[0], stirred)
        centre, radius = node.run(x, y), node.run(a, b)
        # All values of the product are summed up for each form.
        summed = tf.abs(centre) + radius + off
        off += 2 * rounding.share(node.size) * summed + rounding.TINY
        radius += tf.stop_gradient(off)
        return Planes(node, (x, y), centre, radius, self._elementwise)

    def pull(self, node: Node, lines: Any, forms: Forms) -> tuple[list, Any]:
        """The smallest that the planes allow: `Forms`, and a constant."""
        return lines.pull(forms)

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> None:
        """Where tighter bounds wouldn't change the planes: nowhere."""
        return None


class Planes(NamedTuple):
    """Planes around a product; see `Bilinear`."""

    node: Any
    centres: tuple  # Of both factors.
    centre: Any  # Their product.
    radius: Any
    elementwise: bool

    def pull(self, forms: Forms) -> tuple[list, Any]:
        """The smallest that the planes allow.

        Returns:
            The `Forms` of both factors, and a constant.
        """
        constant = -forms.dot(self.centre) - forms.magnitude(self.radius)
        pulled = self._times if self.elementwise else self._through
        return [pulled(forms, k) for k in (0, 1)], constant

    def _times(self, forms, position):
        """Value by value, summed up where a factor is broadcast."""
        other = self.centres[1 - position] + tf.zeros(self.node.shape)
        shape = self.node.dependent[position].shape
        return folded(forms.scaled(other), self.node.shape, shape)

    def _through(self, forms, position):
        """Each form by the other factor's centre of its example."""
        own = forms.scaled(tf.ones_like(self.centre)).dense(self.node.shape)
        other = own.read(self.centres[1 - position])
        shape = self.node.dependent[position].shape
        zeros = tf.zeros([tf.shape(other)[0], *shape])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(zeros)
            pair = (zeros, other) if position == 0 else (other, zeros)
            product = self.node.run(*pair)
        flat = tape.gradient(product, zeros, output_gradients=own.flat)
        flat.set_shape([None, *shape])
        return own.replaced(flat)


def _around(lower, upper):
    """The centre of an interval, and a radius that reaches both ends."""
    centre = (lower + upper) / 2
    radius = tf.maximum(upper - centre, centre - lower)
    off = rounding.share(0) * radius + rounding.TINY
    return centre, radius + tf.stop_gradient(off)


def _terms(node):
    """Terms of a value, and of a coefficient of what it reads."""
    count = node.op.detail
    smallest = min(given.size for given in node.dependent)
    return -(-count // node.size) - (-count // max(1, smallest))


def _both(node):
    """Whether the factors, which are recognised, are all that it reads."""
    return len(node.dependent) == len(node.inputs) == 2


RULES |= {
    "MatrixProduct": Record(Bilinear(False), _both),
    "Product": Record(Bilinear(True), _both),
}
