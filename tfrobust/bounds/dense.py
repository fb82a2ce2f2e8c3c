"""Linear functions of a whole activation."""

import math

import tensorflow as tf

from tfrobust.bounds.rows import Rows, negative, times
from tfrobust.threats.rows import flat

# How many coefficients of an example are faster multiplied one by one.
_FEW = 4096


class Dense:
    """Functions `sum(tensor * z)` of an activation z of any shape.

    Args:
        tensor: Coefficients, shape `[batch, functions, ...]`, where the dots
            are the shape of z for one example. A batch of 1 holds for every
            example.

    Everything that is computed of the functions has shape `[batch, functions]`.
    """

    window = None  # They see all of z.

    def __init__(self, tensor):
        self.tensor = tensor

    @classmethod
    def identity(cls, node):
        """The values of a node, and then those values negated."""
        eye = tf.eye(node.size)
        rows = tf.concat([eye, -eye], axis=0)
        return cls(tf.reshape(rows, [1, 2 * node.size, *node.shape]))

    @staticmethod
    def both(node, values):
        """Splits what was computed of `identity`: each of the node's shape."""
        values = tf.reshape(values, [-1, 2, *node.shape])
        return values[:, 0], values[:, 1]

    @staticmethod
    def signed(node, values):
        """Numbers of the functions of `identity`: values, and those negated.

        Args:
            node: The `Node`.
            values: Which of its values, flattened.

        Returns:
            Shape `[2, values]`.
        """
        return tf.stack([values, values + node.size])

    def chosen(self, examples, function):
        """`Rows` of functions by their numbers, `[2, rows]`."""
        tensor = tf.gather(self.tensor[0], function)
        return Rows(tensor, examples, origin=([(self, None)], function))

    def pull(self, rule, node, position):
        """The same functions of one of the values that a linear op reads."""
        factor = rule.factor(node, position)
        if factor is not None:
            return Dense(times(self.tensor, factor))
        return self.replaced(rule.transposed(node, position, self.rows))

    def falls(self):
        """Functions of the negative coefficients alone."""
        return Dense(negative(self.tensor))

    def scaled(self, value):
        """The functions of z times a value `[batch, ...]`."""
        if value.shape.rank < self.tensor.shape.rank:
            value = tf.expand_dims(value, 1)
        return Dense(self.tensor * value)

    def dot(self, value):
        """The functions of one value, shape `[batch, ...]`."""
        return _product(self.tensor, value)

    def magnitude(self, size):
        """The sum of the magnitudes of all terms, z's given `[batch, ...]`."""
        return _product(tf.abs(self.tensor), size)

    def minimum(self, lower, upper):
        """Their minimum over a box from `lower` to `upper`."""
        centre, radius = (upper + lower) / 2, (upper - lower) / 2
        return self.dot(centre) - self.magnitude(radius)

    def minimum_over(self, threat, x):
        """Their minimum over a threat around x."""
        reach = threat.support(x, -self.tensor)
        return self.dot(x) - reach

    def dense(self, shape):
        """Itself; the form that every linear op can pull."""
        return self

    def read(self, value):
        """What each row of `rows` sees of a value `[batch, ...]`."""
        return tf.repeat(value, tf.shape(self.tensor)[1], axis=0)

    @property
    def rows(self):
        """The coefficients, shape `[batch * functions, ...]`."""
        return tf.reshape(self.tensor, [-1, *self.tensor.shape[2:]])

    def replaced(self, rows):
        """Functions of another value, as many of each example."""
        return Dense(_apart(rows, self.tensor, rows.shape[1:]))

    def plus(self, other, shape=None):
        """The sum of two lots of functions of one value.

        Args:
            other: The others.
            shape: The value's, needed if they see it through other windows.
        """
        return Dense(self.tensor + other.dense(shape).tensor)


def _product(tensor, value):
    """Sums of products, `[batch, functions]`; of many without the products."""
    few = (tensor.shape[1:].num_elements() or math.inf) <= _FEW
    if value.shape.rank == tensor.shape.rank and value.shape[1] != 1:
        # Each function has a value of its own.
        return tf.reduce_sum(_rows(tensor) * _rows(value), axis=-1)
    if few and tensor.shape[0] != 1:
        size = tensor.shape[2:].num_elements()
        value = tf.reshape(value, [-1, 1, size])
        return tf.reduce_sum(_rows(tensor) * value, axis=-1)
    columns = flat(value)
    if tensor.shape[0] == 1:
        # One matrix for all examples.
        matrix = tf.squeeze(_rows(tensor), 0)
        return tf.matmul(columns, matrix, transpose_b=True)
    product = tf.matmul(_rows(tensor), tf.expand_dims(columns, -1))
    return tf.squeeze(product, -1)


def _rows(tensor):
    """Flattens all but the batch and the functions."""
    if tensor.shape.rank == 3:
        return tensor
    return _apart(tensor, tensor, [tensor.shape[2:].num_elements()])


def _apart(values, tensor, shape):
    """Values of this shape for each function of each example of `tensor`."""
    functions = tensor.shape[1]
    if functions is not None:
        return tf.reshape(values, [-1, functions, *shape])
    return tf.reshape(values, tf.concat([tf.shape(tensor)[:2], shape], axis=0))
