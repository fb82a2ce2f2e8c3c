"""Linear functions of small windows of an image."""

import tensorflow as tf

from tfrobust.bounds.dense import Dense
from tfrobust.bounds.rows import Rows, negative, times
from tfrobust.bounds.window import Window


class Patches:
    """Functions `sum(tensor * window of z)` of an image z.

    What a convolution makes of an image reads a small window of it. Kept so,
    its coefficients are some hundred times fewer than those of `Dense`.

    Args:
        tensor: Coefficients, shape `[batch, rows, columns, functions, height,
            width, channels]`: for each point of the window's grid some
            functions of the window there. A batch, rows or columns of 1 hold
            for all.
        window: The `Window`.

    What is computed of them has shape `[batch, rows * columns * functions]`.
    """

    def __init__(self, tensor, window):
        self.tensor, self.window = tensor, window

    @classmethod
    def identity(cls, node):
        """The values of a node, and then, channelwise, those negated."""
        height, width, channels = node.shape
        eye = tf.eye(channels)
        rows = tf.concat([eye, -eye], axis=0)
        tensor = tf.reshape(rows, [1, 1, 1, 2 * channels, 1, 1, channels])
        return cls(tensor, Window.points(height, width))

    @staticmethod
    def both(node, values):
        """Splits what was computed of `identity`: each of the node's shape."""
        height, width, channels = node.shape
        values = tf.reshape(values, [-1, height, width, 2, channels])
        return values[..., 0, :], values[..., 1, :]

    @staticmethod
    def signed(node, values):
        """Numbers of the functions of `identity`: values, and those negated.

        Args:
            node: The `Node`.
            values: Which of its values, flattened.

        Returns:
            Shape `[2, values]`.
        """
        channels = node.shape[-1]
        function = values + values // channels * channels
        return tf.stack([function, function + channels])

    def chosen(self, examples, function):
        """`Rows` of functions by their numbers, `[2, rows]`.

        Those of a row share a place in the grid.
        """
        (_, columns), functions = self.window.grid, self.tensor.shape[3]
        place, number = function[0] // functions, function % functions
        row, column = place // columns, place % columns
        if self.tensor.shape[1:3] == [1, 1]:
            tensor = tf.gather(self.tensor[0, 0, 0], number)
        else:
            both = (tf.broadcast_to(k, tf.shape(number)) for k in (row, column))
            index = tf.stack([*both, number], axis=-1)
            tensor = tf.gather_nd(self.tensor[0], index)
        places = tf.stack([examples.place, row, column], axis=1)
        origin = [(self, None)], function
        return Rows(tensor, examples, self.window, places, origin)

    def pull(self, rule, node, position):
        """The same functions of one of the values that a linear op reads."""
        factor = rule.factor(node, position)
        if factor is not None:
            return Patches(times(self.tensor, factor), self.window)
        if not rule.window(node):
            return self.dense(node.shape).pull(rule, node, position)
        pulled = self._convolved(rule, node, position)
        shape = node.dependent[position].shape
        return pulled.dense(shape) if pulled.window.exceeds(shape) else pulled

    def falls(self):
        """Functions of the negative coefficients alone."""
        return Patches(negative(self.tensor), self.window)

    def scaled(self, value):
        """The functions of z times a value `[batch, ...]`."""
        return Patches(self.tensor * self._view(value), self.window)

    def dot(self, value):
        """The functions of one value, shape `[batch, ...]`."""
        return self._product(self.tensor, self._view(value))

    def magnitude(self, size):
        """The sum of the magnitudes of all terms, z's given `[batch, ...]`."""
        return self._product(tf.abs(self.tensor), self._view(size))

    def minimum(self, lower, upper):
        """Their minimum over a box from `lower` to `upper`."""
        centre, radius = (upper + lower) / 2, (upper - lower) / 2
        return self.dot(centre) - self.magnitude(radius)

    def minimum_over(self, threat, x):
        """Their minimum over a threat around x."""
        views = (
            self._view(part, padding)
            for part, padding in zip(threat.room(x), (0, 0, 1), strict=True)
        )
        room = (tf.reshape(v, [*_leading(v), 1, self._places]) for v in views)
        shape = [*_leading(self.tensor), self.tensor.shape[3], self._places]
        reach = threat.reach(tf.reshape(-self.tensor, shape), *room)
        return self.dot(x) - tf.reshape(reach, [tf.shape(reach)[0], -1])

    def dense(self, shape):
        """The same as `Dense` functions of an image of this shape."""
        height, width, channels = shape
        rows, columns = self.window.grid
        functions = self.tensor.shape[3]
        tensor = tf.broadcast_to(
            self.tensor,
            [tf.shape(self.tensor)[0], rows, columns, *self.tensor.shape[3:]],
        )
        tensor = tf.einsum(
            "bijfrcz,iyr->bijfycz", tensor, self.window.places(0, height)
        )
        tensor = tf.einsum(
            "bijfycz,jxc->bijfyxz", tensor, self.window.places(1, width)
        )
        count = rows * columns * functions
        return Dense(tf.reshape(tensor, [-1, count, height, width, channels]))

    def plus(self, other, shape=None):
        """The sum of two lots of functions of one image.

        Args:
            other: The others.
            shape: The image's, needed if they see it through other windows.
        """
        if not isinstance(other, Patches) or (
            self.window[:2] != other.window[:2]
        ):
            return self.dense(shape).plus(other, shape)
        window = self.window.union(other.window)
        return Patches(
            self.window.widened(self.tensor, window)
            + other.window.widened(other.tensor, window),
            window,
        )

    def _convolved(self, rule, node, position):
        source = node.dependent[position].shape
        strides, kernel, padding = rule.window(node)
        window = self.window.before(strides, kernel, padding)
        rows = tf.reshape(
            self.tensor, [-1, *self.window.size, self.tensor.shape[-1]]
        )
        shape = [*window.size, source[-1]]
        rows = rule.pulled_windows(node, rows, shape)
        leading = [*_leading(self.tensor), self.tensor.shape[3]]
        tensor = tf.reshape(rows, [*leading, *shape])
        return Patches(tensor, window)

    @property
    def _places(self):
        height, width = self.window.size
        return height * width * self.tensor.shape[-1]

    def _view(self, value, padding=0.0):
        """Windows of a value, `[batch, rows, columns, 1, ...]`."""
        return tf.expand_dims(self.window.view(value, padding), 3)

    def _product(self, tensor, views):
        """Sums of products, without the products."""
        places, functions = self._places, tensor.shape[3]
        if tensor.shape[:3] == [1, 1, 1]:
            # One matrix for all windows.
            views = tf.reshape(views, [-1, places])
            matrix = tf.reshape(tensor, [functions, places])
            product = tf.matmul(views, matrix, transpose_b=True)
        else:
            rows = tf.reshape(tensor, [*_leading(tensor), functions, places])
            views = tf.reshape(views, [*_leading(views), places, 1])
            product = tf.matmul(rows, views)
        rows, columns = self.window.grid
        return tf.reshape(product, [-1, rows * columns * functions])


def _leading(tensor):
    """The batch, rows and columns of a tensor, for `tf.reshape`."""
    return [-1, tensor.shape[1], tensor.shape[2]]
