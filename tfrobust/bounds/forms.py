"""Linear forms of a value: what bounds are carried backward in."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from tfrobust.graph import Node


class Forms(abc.ABC):
    """Linear forms `sum(tensor * z)`, some for each example, of one value z.

    `Dense` forms see all of z, `Patches` a window of an image for each point of
    a grid, `Sparse` forms are rows that were chosen one by one. What is
    computed of them, a number for each form, has the shape that the class
    calls `[*forms]`. A value that they meet has shape `[batch, ...]`, the dots
    being the shape of z for one example; a batch of 1 is every example's.

    Attributes:
        tensor: Coefficients; the axes of forms first, as each class says, then
            those of z, or of the window that is seen.
        window: The `Window` that the forms see; None for all of z.
    """

    # How many axes of the coefficients count forms.
    LEADING = 2
    # Whether windows larger than the image are pulled before they are whole.
    OUTGROWS = False

    tensor: tf.Tensor
    window: Any = None

    @abc.abstractmethod
    def negative(self) -> Forms:
        """The forms of their negative coefficients alone."""

    @abc.abstractmethod
    def scaled(self, value: tf.Tensor) -> Forms:
        """The forms of z times a value v: at z they are what these are at v z.

        Args:
            value: A value; `[batch, forms, ...]` if each has its own.
        """

    @abc.abstractmethod
    def dot(self, value: tf.Tensor) -> tf.Tensor:
        """What they are at a value, shape `[*forms]`."""

    @abc.abstractmethod
    def dense(self, shape: tuple) -> Forms:
        """The same forms of all of z, which has this shape."""

    @property
    def flat(self) -> tf.Tensor:
        """The coefficients in one batch, shape `[count, ...]`.

        It is what a vector-Jacobian product takes; `replaced` turns back.
        """
        return tf.reshape(self.tensor, [-1, *self.tensor.shape[self.LEADING :]])

    def replaced(self, flat: tf.Tensor, window: Any = None) -> Forms:
        """As many forms of another value, their coefficients as in `flat`."""
        return self._with(
            _led(flat, self.tensor, self.LEADING, flat.shape[1:]), window
        )

    def read(self, value: tf.Tensor) -> tf.Tensor:
        """What each form sees of a value of any shape, as many as in `flat`."""
        inner = tf.shape(value)[1:]
        leading = tf.shape(self.tensor)[: self.LEADING]
        shape = tf.concat([leading, inner], axis=0)
        seen = tf.broadcast_to(self._own(value), shape)
        return tf.reshape(seen, [-1, *value.shape[1:]])

    def pull(self, rule: Any, node: Node, position: int) -> Forms:
        """Turns forms of what a linear op returns into forms of what it reads.

        Args:
            rule: The op's `Linear`.
            node: Its `Node`, z.
            position: Of which of the values that depend on the input.
        """
        factor = rule.factor(node, position)
        if factor is not None:
            return self._times(factor)
        source, slides = node.dependent[position].shape, rule.window(node)
        if self.window and slides:
            window = self.window.before(*slides)
            if self.OUTGROWS or not window.exceeds(source):
                seen = [*window.size, source[-1]]
                flat = rule.vjp_of_windows(node, self.flat, seen)
                pulled = self.replaced(flat, window)
                outgrown = window.exceeds(source)
                return pulled.dense(source) if outgrown else pulled
        whole = self.dense(node.shape)
        return whole.replaced(rule.vjp(node, position, whole.flat))

    def plus(self, other: Forms, shape: tuple = ()) -> Forms:
        """The sum of as many forms of the same value, one by one.

        Args:
            other: The others.
            shape: The value's, needed if they see it through other windows.
        """
        if self.window == other.window:
            return self._sum(other)
        both = self.window and other.window
        window = self.window.union(other.window) if both else None
        return self._within(window, shape)._sum(other._within(window, shape))

    def magnitudes(self) -> Forms:
        """The forms of the magnitudes of their coefficients."""
        return self._with(tf.abs(self.tensor), self.window)

    def magnitude(self, size: tf.Tensor) -> tf.Tensor:
        """The sum of the magnitudes of all terms, z's given, `[*forms]`."""
        return self._total(tf.abs(self.tensor), self._beside(size))

    def minimum(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        """Their minimum over the box from `lower` to `upper`, `[*forms]`."""
        centre, radius = (upper + lower) / 2, (upper - lower) / 2
        return self.dot(centre) - self.magnitude(radius)

    def minimum_over(self, threat: Any, x: tf.Tensor) -> tf.Tensor:
        """Their minimum over a `Threat` around x, `[*forms]`."""
        # Outside of an image nothing moves, and the ball has any scale.
        parts = zip(threat.room(x), (0.0, 0.0, 1.0), strict=True)
        room = (self._features(self._beside(*part)) for part in parts)
        reach = threat.reach(self._features(-self.tensor), *room)
        least = self.dot(x)
        return least - tf.reshape(reach, tf.shape(least))

    @abc.abstractmethod
    def _with(self, tensor: tf.Tensor, window: Any) -> Forms:
        """As many forms with other coefficients, through another window."""

    @abc.abstractmethod
    def _sum(self, other: Forms) -> Forms:
        """The sum with forms that see z through the same window."""

    @abc.abstractmethod
    def _beside(self, value: tf.Tensor, outside: float = 0.0) -> tf.Tensor:
        """What the forms see of a value, to broadcast against `tensor`.

        Args:
            value: A value.
            outside: What is seen outside of an image.
        """

    def _own(self, value):
        """What the forms of each example see of a value of any rank."""
        return self._beside(value)

    @abc.abstractmethod
    def _total(self, tensor: tf.Tensor, beside: tf.Tensor) -> tf.Tensor:
        """The sums of `tensor * beside` over what the forms see, `[*forms]`."""

    def _times(self, factor) -> Forms:
        """Multiplies by a factor for each channel, 1 more often than not."""
        same = isinstance(factor, int) and factor == 1
        return self if same else self._with(self.tensor * factor, self.window)

    def _within(self, window: Any, shape: tuple) -> Forms:
        """The same through a window around theirs; None sees all of z."""
        if window is None:
            return self.dense(shape)
        return self._with(self.window.widened(self.tensor, window), window)

    def _features(self, values: tf.Tensor) -> tf.Tensor:
        """Flattens the axes behind those of forms."""
        first = values.shape.rank - (self.tensor.shape.rank - self.LEADING)
        shape = values.shape[first:]
        if shape.rank == 1:
            return values
        return _led(values, values, first, [shape.num_elements()])


def _led(values, leader, count, shape):
    """Values in this shape behind the first axes of another tensor."""
    leading = leader.shape[:count].as_list()
    if leading.count(None) > 1:
        leading = tf.shape(leader)[:count]
        return tf.reshape(values, tf.concat([leading, shape], axis=0))
    return tf.reshape(
        values, [*(-1 if n is None else n for n in leading), *shape]
    )
