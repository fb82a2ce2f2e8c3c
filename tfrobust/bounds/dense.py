"""Linear forms of a whole value."""

from __future__ import annotations

import math

import tensorflow as tf

from tfrobust.bounds.forms import Forms
from tfrobust.bounds.sparse import Examples, Sparse
from tfrobust.graph import Node
from tfrobust.threats.rows import flat

# How many coefficients of an example are faster multiplied one by one.
_FEW = 4096


class Dense(Forms):
    """Forms of a value of any shape, of which `[*forms]` is `[batch, forms]`.

    Args:
        tensor: Coefficients, shape `[batch, forms, ...]`, where the dots are
            the shape of z for one example. A batch of 1 holds for every
            example.
    """

    def __init__(self, tensor: tf.Tensor) -> None:
        self.tensor = tensor

    @classmethod
    def identity(cls, node: Node) -> Dense:
        """The values of a node, and then those values negated."""
        eye = tf.eye(node.size)
        both = tf.concat([eye, -eye], axis=0)
        return cls(tf.reshape(both, [1, 2 * node.size, *node.shape]))

    @staticmethod
    def both(node: Node, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Splits what was computed of `identity`: each of the node's shape."""
        values = tf.reshape(values, [-1, 2, *node.shape])
        return values[:, 0], values[:, 1]

    @staticmethod
    def numbers(node: Node, values: tf.Tensor) -> tf.Tensor:
        """Numbers of the forms of `identity`: values, and those negated.

        Args:
            node: The `Node`.
            values: Which of its values, flattened.

        Returns:
            Shape `[2, values]`.
        """
        return tf.stack([values, values + node.size])

    def chosen(self, examples: Examples, numbers: tf.Tensor) -> Sparse:
        """Forms by their numbers, `[2, rows]`, for `Examples` of the rows."""
        tensor = tf.gather(self.tensor[0], numbers)
        return Sparse.of(self, tensor, examples, numbers)

    def negative(self) -> Dense:
        return Dense(tf.minimum(self.tensor, 0.0))

    def scaled(self, value: tf.Tensor) -> Dense:
        return Dense(self.tensor * self._beside(value))

    def dot(self, value: tf.Tensor) -> tf.Tensor:
        return self._total(self.tensor, self._beside(value))

    def dense(self, shape: tuple) -> Dense:
        return self

    def _with(self, tensor, window):
        return Dense(tensor)

    def _sum(self, other):
        return Dense(self.tensor + other.tensor)

    def _beside(self, value, outside=0.0):
        # The forms may have a value each.
        shared = value.shape.rank < self.tensor.shape.rank
        return tf.expand_dims(value, 1) if shared else value

    def _own(self, value):
        return tf.expand_dims(value, 1)

    def _total(self, tensor, beside):
        """Of many, without the products."""
        few = (tensor.shape[1:].num_elements() or math.inf) <= _FEW
        if beside.shape[1] != 1 or (few and tensor.shape[0] != 1):
            products = self._features(tensor) * self._features(beside)
            return tf.reduce_sum(products, axis=-1)
        columns = flat(beside)
        if tensor.shape[0] == 1:
            # One matrix for all examples.
            matrix = tf.squeeze(self._features(tensor), 0)
            return tf.matmul(columns, matrix, transpose_b=True)
        product = tf.matmul(self._features(tensor), tf.expand_dims(columns, -1))
        return tf.squeeze(product, -1)
