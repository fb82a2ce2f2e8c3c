"""Linear forms that were chosen one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds.forms import Forms


class Examples:
    """The examples to which rows belong: next to each other in the batch.

    Args:
        index: The number of each row's example, shape `[rows]`.

    Attributes:
        place: In which place of `of(value)` each row's example is.
    """

    def __init__(self, index: tf.Tensor) -> None:
        self._first, self._end = tf.reduce_min(index), tf.reduce_max(index) + 1
        self.place = index - self._first

    def of(self, value: tf.Tensor) -> tf.Tensor:
        """A value `[batch, ...]` of those examples; a batch of 1 as it is."""
        everyones = value.shape[0] == 1
        return value if everyones else value[self._first : self._end]

    def rows_of(self, value: tf.Tensor) -> tf.Tensor:
        """A value `[batch, ...]` for each row; a batch of 1 is everyone's."""
        everyones = value.shape[0] == 1
        place = tf.zeros_like(self.place) if everyones else self.place
        return tf.gather(self.of(value), place)


class Origin(NamedTuple):
    """The forms of which rows were chosen, as long as they are everyone's.

        shared   [1, forms, ...]   until the first activation, of all examples
        rows     [2, rows, ...]    gather(shared[0], numbers), numbers [2, rows]
        slow     [2, rows]         sum(rows * value[example of each row])
        fast     [2, rows]         gather(value @ shared', (example, number))

    Why: rows of one example repeat those of the next, so that one product of
    matrices for all takes the place of a product for each row. It is for speed
    alone: without origins, `Sparse.dot` always goes the slow way.

    Attributes:
        parts: Pairs of shared forms and what they were scaled by since, a value
            `[batch, ...]` or None; the rows are the sum of all.
        numbers: Which of the forms each row is, shape `[2, rows]`.
    """

    parts: list
    numbers: Any

    def negative(self) -> Origin | None:
        """Of forms of negative coefficients; unknown once they were scaled."""
        [(forms, scale), *more] = self.parts
        if scale is None and not more:
            return Origin([(forms.negative(), None)], self.numbers)
        return None

    def scaled(self, value: tf.Tensor) -> Origin:
        """Of forms that are scaled by a value `[batch, ...]`."""
        parts = [(f, value if s is None else s * value) for f, s in self.parts]
        return Origin(parts, self.numbers)

    def dot(self, examples: Examples, value: tf.Tensor) -> tf.Tensor:
        """What the rows are at a value `[batch, ...]`, shape `[2, rows]`."""
        values = [
            value if scale is None else scale * value for _, scale in self.parts
        ]
        first, *rest = (
            forms.dot(examples.of(each))
            for (forms, _), each in zip(self.parts, values, strict=True)
        )
        products = sum(rest, first)
        if all(each.shape[0] == 1 for each in values):  # It is everyone's.
            return tf.gather(products[0], self.numbers)
        place = tf.broadcast_to(examples.place, tf.shape(self.numbers))
        return tf.gather_nd(products, tf.stack([place, self.numbers], axis=-1))


class Sparse(Forms):
    """Rows of forms, each of one example, of which `[*forms]` is `[2, rows]`.

    Only unstable values of an activation gain from better bounds, and which
    ones differs from example to example.

    Args:
        tensor: Coefficients, shape `[2, rows, ...]`: for each row two forms of
            the same example, such as a value and the same negated. The dots are
            the shape of z for one example, or of a window of it.
        examples: The `Examples` to which the rows belong.
        window: The `Window` that the coefficients see; None for all of z.
        places: Where each row's window is: the place of its example, then row
            and column of the grid, shape `[rows, 3]`; None without a window.
        origin: The `Origin` of the rows; None if it is lost.
    """

    def __init__(
        self,
        tensor: tf.Tensor,
        examples: Examples,
        window: Any = None,
        places: Any = None,
        origin: Origin | None = None,
    ) -> None:
        self.tensor, self.examples = tensor, examples
        self.window, self.places, self.origin = window, places, origin

    @classmethod
    def of(
        cls,
        forms: Forms,
        tensor: tf.Tensor,
        examples: Examples,
        numbers: tf.Tensor,
        places: Any = None,
    ) -> Sparse:
        """The rows `tensor` of forms by their numbers; see `__init__`."""
        origin = Origin([(forms, None)], numbers)
        return cls(tensor, examples, forms.window, places, origin)

    def negative(self) -> Sparse:
        origin = self.origin and self.origin.negative()
        return self._kept(tf.minimum(self.tensor, 0.0), origin)

    def scaled(self, value: tf.Tensor) -> Sparse:
        origin = self.origin and self.origin.scaled(value)
        return self._kept(self.tensor * self._beside(value), origin)

    def dot(self, value: tf.Tensor) -> tf.Tensor:
        if self.origin:
            return self.origin.dot(self.examples, value)
        if self.window is None and value.shape[0] == 1:
            # Everyone's: without the products.
            size = self.tensor.shape[2:].num_elements()
            product = tf.matmul(
                tf.reshape(self.tensor, [-1, size]),
                tf.reshape(value, [size, 1]),
            )
            return tf.reshape(product, [self.tensor.shape[0], -1])
        return self._total(self.tensor, self._beside(value))

    def dense(self, shape: tuple) -> Sparse:
        if self.window is None:
            return self
        tensor = self.tensor
        for axis, equation in enumerate(
            ("fnrcz,nyr->fnycz", "fnycz,nxc->fnyxz")
        ):
            places = self.window.places(axis, shape[axis])
            places = tf.gather(places, self.places[:, 1 + axis])
            tensor = tf.einsum(equation, tensor, places)
        return Sparse(tensor, self.examples)

    def _with(self, tensor, window):
        places = None if window is None else self.places
        return Sparse(tensor, self.examples, window, places)

    def _kept(self, tensor, origin):
        return Sparse(tensor, self.examples, self.window, self.places, origin)

    def _sum(self, other):
        origin, more = self.origin, other.origin
        if origin and more and origin.numbers is more.numbers:
            origin = origin._replace(parts=origin.parts + more.parts)
        else:
            origin = None
        return self._kept(self.tensor + other.tensor, origin)

    def _beside(self, value, outside=0.0):
        """What the rows see, `[rows, ...]`; a batch of 1 is everyone's."""
        if self.window is None:
            return self.examples.rows_of(value)
        everyones, value = value.shape[0] == 1, self.examples.of(value)
        places = self.places * [0, 1, 1] if everyones else self.places
        return tf.gather_nd(self.window.view(value, outside), places)

    def _total(self, tensor, beside):
        products = tensor * beside
        return tf.reduce_sum(products, axis=list(range(2, products.shape.rank)))
