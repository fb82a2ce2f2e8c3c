"""Linear functions that were chosen one by one."""

import tensorflow as tf

from tfrobust.verifiers import convolutions


class Rows:
    """Functions `sum(tensor * z)`, each of one example's activation z.

    Only some values of an activation gain from better bounds, and which ones
    differs from example to example.

    Args:
        tensor: Coefficients, shape `[functions, rows, ...]`: for each row some
            functions of the same example. The dots are the shape of z for one
            example, or of a window of it.
        example: To which example each row belongs, shape `[rows]`.
        window: The `Window` that the coefficients see; None for all of z.
        places: The window's place in its grid, row and column, shape
            `[rows, 2]`; None without a window.

    What is computed of them has shape `[functions, rows]`.
    """

    def __init__(self, tensor, example, window=None, places=None):
        self.tensor, self.example = tensor, example
        self.window, self.places = window, places

    def pull(self, rule, node, position):
        """The same functions of one of the values that a linear op reads."""
        factor = rule.factor(node, position)
        if factor is not None:
            return self._with(times(self.tensor, factor))
        source = node.dependent[position].shape
        if self.window and convolutions.window(node):
            window = self.window.before(*convolutions.window(node))
            if not window.exceeds(source):
                shape = [*window.size, source[-1]]
                rows = convolutions.pulled_windows(node, self.rows, shape)
                tensor = self._apart(rows)
                return Rows(tensor, self.example, window, self.places)
        whole = self.dense(node.shape)
        return whole.replaced(rule.transposed(node, position, whole.rows))

    def relaxed(self, relaxation):
        """The smallest that lines allow: functions of z, and a constant."""
        lower, below, upper, above = (
            None if part is None else self._seen(part) for part in relaxation
        )
        negative = tf.minimum(self.tensor, 0.0)
        slopes = self.tensor * tf.where(self.tensor < 0, upper, lower)
        total = 0.0
        if below is not None:
            total += _sums(self.tensor * below)
            above = -below if above is None else above - below
        if above is not None:
            total += _sums(negative * above)
        return self._with(slopes), total

    def dot(self, value):
        """The functions of one value `[batch, ...]`."""
        return _sums(self.tensor * self._seen(value))

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
            places = tf.gather(places, self.places[:, axis])
            tensor = tf.einsum(equation, tensor, places)
        return Rows(tensor, self.example)

    def plus(self, other, shape):
        """The sum of two lots of functions of one value of this shape."""
        if self.window != other.window:
            return self.dense(shape).plus(other.dense(shape), shape)
        return self._with(self.tensor + other.tensor)

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
        return Rows(self._apart(rows), self.example)

    def _seen(self, value, padding=0.0):
        """What the rows see, `[rows, ...]`; a batch of 1 is everyone's.

        Args:
            value: One value for each example.
            padding: What is seen outside of an image.
        """
        example = self.example
        if value.shape[0] == 1:
            example = tf.zeros_like(example)
        if self.window is None:
            return tf.gather(value, example)
        # Windows of those examples alone that have rows.
        first, last = tf.reduce_min(example), tf.reduce_max(example)
        value, example = value[first : last + 1], example - first
        index = tf.concat([example[:, tf.newaxis], self.places], axis=1)
        return tf.gather_nd(self.window.view(value, padding), index)

    def _apart(self, rows):
        return tf.reshape(rows, [self.tensor.shape[0], -1, *rows.shape[1:]])

    def _with(self, tensor):
        return Rows(tensor, self.example, self.window, self.places)


def times(tensor, factor):
    """Multiplies by what is 1 more often than not."""
    return (
        tensor if isinstance(factor, int) and factor == 1 else tensor * factor
    )


def _sums(products):
    return tf.reduce_sum(products, axis=list(range(2, products.shape.rank)))
