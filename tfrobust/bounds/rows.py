"""Linear functions that were chosen one by one."""

import tensorflow as tf


class Examples:
    """The examples to which rows belong: next to each other in the batch.

    Args:
        index: The number of each row's example, shape `[rows]`.

    Attributes:
        place: In which place of `of(value)` each row's example is.
    """

    def __init__(self, index):
        first = tf.reduce_min(index, keepdims=True)
        end = tf.reduce_max(index, keepdims=True) + 1
        self._slice = first, end, tf.ones_like(first)
        self.place = index - first

    def of(self, value):
        """A value `[batch, ...]` of those examples; a batch of 1 as it is."""
        everyones = value.shape[0] == 1
        return value if everyones else tf.strided_slice(value, *self._slice)


class Rows:
    """Functions `sum(tensor * z)`, each of one example's activation z.

    Only some values of an activation gain from better bounds, and which ones
    differs from example to example.

    Args:
        tensor: Coefficients, shape `[functions, rows, ...]`: for each row some
            functions of the same example. The dots are the shape of z for one
            example, or of a window of it.
        examples: The `Examples` to which the rows belong.
        window: The `Window` that the coefficients see; None for all of z.
        places: Where each row's window is: the place of its example, then row
            and column of the grid, shape `[rows, 3]`; None without a window.
        origin: The functions of which these were chosen, the same for every
            example: pairs of functions and what they were scaled by since, of
            which these are the sum; and their numbers, shape `[functions,
            rows]`. None if they are no longer the same.

    What is computed of them has shape `[functions, rows]`.
    """

    def __init__(self, tensor, examples, window=None, places=None, origin=None):
        self.tensor, self.examples = tensor, examples
        self.window, self.places = window, places
        self.origin = origin

    def pull(self, rule, node, position):
        """The same functions of one of the values that a linear op reads."""
        factor = rule.factor(node, position)
        if factor is not None:
            tensor = times(self.tensor, factor)
            return self if tensor is self.tensor else self._with(tensor)
        source = node.dependent[position].shape
        if self.window and rule.window(node):
            window = self.window.before(*rule.window(node))
            if not window.exceeds(source):
                shape = [*window.size, source[-1]]
                rows = rule.pulled_windows(node, self.rows, shape)
                tensor = self._apart(rows)
                return Rows(tensor, self.examples, window, self.places)
        whole = self.dense(node.shape)
        return whole.replaced(rule.transposed(node, position, whole.rows))

    def falls(self):
        """Functions of the negative coefficients alone."""
        origin = None
        if self.origin:
            [(functions, scale), *more], numbers = self.origin
            if scale is None and not more:
                origin = [(functions.falls(), None)], numbers
        return self._with(negative(self.tensor), origin)

    def scaled(self, value):
        """The functions of z times a value `[batch, ...]`."""
        origin = None
        if self.origin:
            parts, numbers = self.origin
            parts = [(f, value if s is None else s * value) for f, s in parts]
            origin = parts, numbers
        return self._with(self.tensor * self._seen(value), origin)

    def dot(self, value):
        """The functions of one value `[batch, ...]`."""
        if self.origin is None:
            if self.window is None and value.shape[0] == 1:
                return self._dot_of_all(value)
            return _sums(self.tensor * self._seen(value))
        # One matrix product for all functions of these examples.
        parts, numbers = self.origin
        values = [
            value if scale is None else scale * value for _, scale in parts
        ]
        first, *rest = (
            functions.dot(self.examples.of(each))
            for (functions, _), each in zip(parts, values, strict=True)
        )
        products = sum(rest, first)
        if all(each.shape[0] == 1 for each in values):  # It is everyone's.
            return tf.gather(products[0], numbers)
        place = tf.broadcast_to(self.examples.place, tf.shape(numbers))
        return tf.gather_nd(products, tf.stack([place, numbers], axis=-1))

    def magnitude(self, size):
        """The sum of the magnitudes of all terms, z's given `[batch, ...]`."""
        return _sums(tf.abs(self.tensor) * self._seen(size))

    def minimum(self, lower, upper):
        """Their minimum over a box from `lower` to `upper`."""
        centre, radius = (upper + lower) / 2, (upper - lower) / 2
        return self.dot(centre) - self.magnitude(radius)

    def minimum_over(self, threat, x):
        """Their minimum over a threat around x."""
        room = (
            self._seen(part, padding)
            for part, padding in zip(threat.room(x), (0, 0, 1), strict=True)
        )
        size = self.tensor.shape[2:].num_elements()
        room = (tf.reshape(part, [-1, size]) for part in room)
        rows = tf.reshape(-self.tensor, [self.tensor.shape[0], -1, size])
        return self.dot(x) - threat.reach(rows, *room)

    def dense(self, shape):
        """The same functions of all of an image of this shape."""
        if self.window is None:
            return self
        tensor = self.tensor
        for axis, equation in enumerate(
            ("fnrcz,nyr->fnycz", "fnycz,nxc->fnyxz")
        ):
            places = self.window.places(axis, shape[axis])
            places = tf.gather(places, self.places[:, 1 + axis])
            tensor = tf.einsum(equation, tensor, places)
        return Rows(tensor, self.examples)

    def plus(self, other, shape=None):
        """The sum of two lots of functions of one value.

        Args:
            other: The others.
            shape: The value's, needed if they see it through other windows.
        """
        if self.window == other.window:
            origin = None
            if self.origin and other.origin:
                (parts, numbers), (more, others) = self.origin, other.origin
                origin = (parts + more, numbers) if numbers is others else None
            return self._with(self.tensor + other.tensor, origin)
        if None in (self.window, other.window):
            return self.dense(shape).plus(other.dense(shape), shape)
        # They have places in common, and with them grid and stride.
        window = self.window.union(other.window)
        tensor = self.window.widened(
            self.tensor, window
        ) + other.window.widened(other.tensor, window)
        return Rows(tensor, self.examples, window, self.places)

    def read(self, value):
        """What each row of `rows` sees of a value `[batch, ...]`."""
        seen = self._seen(value)
        return tf.tile(
            seen, [self.tensor.shape[0]] + [1] * (seen.shape.rank - 1)
        )

    @property
    def rows(self):
        """The coefficients, shape `[functions * rows, ...]`."""
        return tf.reshape(self.tensor, [-1, *self.tensor.shape[2:]])

    def replaced(self, rows):
        """Functions of another value, as many of the same examples."""
        return Rows(self._apart(rows), self.examples)

    def _dot_of_all(self, value):
        """The same of a value that is everyone's, without the products."""
        size = self.tensor.shape[2:].num_elements()
        rows = tf.reshape(self.tensor, [-1, size])
        column = tf.reshape(value, [size, 1])
        return tf.reshape(tf.matmul(rows, column), [self.tensor.shape[0], -1])

    def _seen(self, value, padding=0.0):
        """What the rows see, `[rows, ...]`; a batch of 1 is everyone's.

        Args:
            value: One value for each example.
            padding: What is seen outside of an image.
        """
        everyones, value = value.shape[0] == 1, self.examples.of(value)
        if self.window is None:
            place = self.examples.place
            return tf.gather(
                value, tf.zeros_like(place) if everyones else place
            )
        places = self.places * [0, 1, 1] if everyones else self.places
        return tf.gather_nd(self.window.view(value, padding), places)

    def _apart(self, rows):
        return tf.reshape(rows, [self.tensor.shape[0], -1, *rows.shape[1:]])

    def _with(self, tensor, origin=None):
        return Rows(tensor, self.examples, self.window, self.places, origin)


def negative(tensor):
    """What is not positive of some coefficients, and 0 of the rest."""
    return tf.minimum(tensor, 0.0)


def times(tensor, factor):
    """Multiplies by what is 1 more often than not."""
    return (
        tensor if isinstance(factor, int) and factor == 1 else tensor * factor
    )


def _sums(products):
    return tf.reduce_sum(products, axis=list(range(2, products.shape.rank)))
