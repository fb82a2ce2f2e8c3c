"""Planes around products of two values that depend on the input.

With x within a of its centre m, and y within b of n, a product differs from
what is linear in either, `m * y + x * n - m * n`, by `(x - m) * (y - n)`, and
so by at most `a * b`; more closely, for any s and t between -1 and 1, by

    s * (b * (x - m) + a * (y - n)) - a * b    from below, and
    t * (b * (x - m) - a * (y - n)) + a * b    from above.

At -1 and 1 these are McCormick's pairs of planes, at 0 the middle of each pair.
The same holds of sums of products. With s = q + p and t = q - p, the tilt, a
coefficient c of the product is `c * (n + q * b) + abs(c) * p * b` of x, and so
it is of y with m and a, p and q exchanged.

Reference: McCormick, 1976, Mathematical Programming 10, section 4.
"""

import abc
from typing import Any

import tensorflow as tf

from tfrobust.bounds.activation import folded
from tfrobust.bounds.forms import Forms
from tfrobust.graph import Node


class Planes(abc.ABC):
    """Planes around a product.

    Args:
        node: The node.
        factors: The centre and the radius of each factor.
        centre: The product of both centres.
        radius: How far it is from what is linear in either, `a * b` or more.
        known: 1 where there are planes, else 0; None for anywhere.
        tilt: p and q, `[batch, ...]` or, if each form has its own, `[batch,
            forms, ...]`; None for the middle.
    """

    def __init__(
        self,
        node: Node,
        factors: tuple,
        centre: Any,
        radius: Any,
        known: Any,
        tilt: Any,
    ) -> None:
        self.node, self.factors, self.tilt = node, factors, tilt
        self.centre, self.radius, self.known = centre, radius, known
        if tilt is None:
            return
        (x, a), (y, b) = factors
        moved = [product(node, x, b), product(node, a, y)]
        if known is not None:
            moved = [tf.math.multiply_no_nan(end, known) for end in moved]
        (xb, ay), (p, q) = map(self.beside, moved), tilt
        self.centre = self.beside(centre) + p * ay + q * xb
        self.radius = self.beside(radius) + p * xb + q * ay

    def pull(self, forms: Forms) -> tuple[list, Any]:
        """The smallest that the planes allow.

        Returns:
            The `Forms` of both factors, and a constant.
        """
        sizes = forms.magnitudes()
        constant = -forms.dot(self.centre) - sizes.dot(self.radius)
        if self.known is not None:
            forms, sizes = forms.scaled(self.known), sizes.scaled(self.known)
        others = len(self.node.dependent) - 2
        return [*self.pulled(forms, sizes), *[None] * others], constant

    @abc.abstractmethod
    def pulled(self, forms: Forms, sizes: Forms) -> list:
        """The `Forms` of both factors.

        Args:
            forms: Those of the product.
            sizes: Those of the magnitudes of their coefficients.
        """

    def alpha(self, coefficients: tf.Tensor) -> tf.Tensor:
        """The alpha of these planes, of which each form has its own.

        Args:
            coefficients: Of the forms of the product, `[batch, forms, ...]`.
        """
        middle = 0.5 + tf.zeros_like(coefficients)
        if self.tilt is None:
            return middle
        p, q = (tf.expand_dims(end, 1) for end in self.tilt)
        return middle + tf.where(coefficients >= 0, p + q, p - q) / 2

    def beside(self, value: tf.Tensor) -> tf.Tensor:
        """A value of each example, for forms that have tilts of their own."""
        own = self.tilt and value.shape.rank < self.tilt[0].shape.rank
        return tf.expand_dims(value, 1) if own else value


class ElementwisePlanes(Planes):
    """Planes around products value by value, tilted."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        (x, a), (y, b) = (map(self.beside, factor) for factor in self.factors)
        p, q = self.tilt
        # What coefficients and their magnitudes are multiplied by.
        self._slopes = (y + q * b, p * b), (x + p * a, q * a)

    def pulled(self, forms: Forms, sizes: Forms) -> list:
        given, found = self.node.dependent[:2], []
        for factor, slopes in zip(given, self._slopes, strict=True):
            parts = zip((forms, sizes), slopes, strict=True)
            own, other = (part.scaled(slope) for part, slope in parts)
            # Summed up where a factor is broadcast.
            both = own.plus(other)
            found.append(folded(both, self.node.shape, factor.shape))
        return found


class MatrixPlanes(Planes):
    """Planes around sums of products."""

    def pulled(self, forms: Forms, sizes: Forms) -> list:
        (x, a), (y, b) = self.factors
        first, second = self._by(forms, 0, y), self._by(forms, 1, x)
        if self.tilt is None:
            return [first, second]
        p, q = self.tilt
        of_x = forms.scaled(q).plus(sizes.scaled(p))
        of_y = forms.scaled(p).plus(sizes.scaled(q))
        first = first.plus(self._by(of_x, 0, b))
        return [first, second.plus(self._by(of_y, 1, a))]

    def _by(self, forms, position, other):
        """Forms of a factor, by what the other is at each one's example."""
        every = tf.ones([tf.shape(other)[0], *self.node.shape])
        own = forms.scaled(every).dense(self.node.shape)
        other = own.read(other)
        shape = self.node.dependent[position].shape
        zeros = tf.zeros([tf.shape(other)[0], *shape])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(zeros)
            pair = (zeros, other) if position == 0 else (other, zeros)
            found = product(self.node, *pair)
        flat = tape.gradient(found, zeros, output_gradients=own.flat)
        flat.set_shape([None, *shape])
        return own.replaced(flat)


def product(node: Node, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The product; of what its limit stands on nothing is read."""
    return node.run(first, second, *[second] * (len(node.dependent) - 2))


def towards_zero(first: tuple, second: tuple) -> tuple:
    """The tilt towards the end nearest to 0 of a factor that keeps its sign.

    The other factor's coefficients are then the smallest that are as tight:
    what a gate lets through isn't multiplied by more than the gate may be.
    Where both factors keep their signs, or neither, it is the middle.

    Args:
        first: The centre and the radius of the first factor.
        second: Those of the second.

    Returns:
        p and q.
    """
    signs = [
        tf.where(tf.abs(centre) >= radius, tf.sign(centre), 0.0)
        for centre, radius in (first, second)
    ]
    x, y = map(tf.stop_gradient, signs)
    return x * (tf.abs(y) - 1), y * (tf.abs(x) - 1)
