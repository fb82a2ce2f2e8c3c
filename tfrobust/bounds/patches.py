"""Linear forms of small windows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.bounds.dense import Dense
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.sparse import Examples, Sparse
from tfrobust.graph import Node


class Window(NamedTuple):
    """The windows at the points of a grid, along both axes of an image.

    The one at grid point i covers rows `i * stride + start` and the following,
    `size` of them. Those outside of the image are padding.
    """

    grid: tuple
    stride: tuple
    start: tuple
    size: tuple

    @classmethod
    def points(cls, height: int, width: int) -> Window:
        """Every point of an image by itself."""
        return cls((height, width), (1, 1), (0, 0), (1, 1))

    def before(
        self,
        strides: Sequence[int],
        kernel: Sequence[int],
        padding: Sequence[int],
    ) -> Window:
        """What these windows of a convolution's output read of its input."""
        pairs = range(2)
        return Window(
            self.grid,
            tuple(self.stride[a] * strides[a] for a in pairs),
            tuple(self.start[a] * strides[a] - padding[a] for a in pairs),
            tuple((self.size[a] - 1) * strides[a] + kernel[a] for a in pairs),
        )

    def exceeds(self, shape: Sequence[int]) -> bool:
        """Whether a window has more places than an image of this shape."""
        return self.size[0] * self.size[1] > shape[0] * shape[1]

    def leaves(self, shape: Sequence[int]) -> bool:
        """Whether a window reads what is outside of an image of this shape."""
        return any(
            self.start[a] < 0
            or (self.grid[a] - 1) * self.stride[a] + self.start[a]
            > shape[a] - self.size[a]
            for a in range(2)
        )

    def union(self, other: Window) -> Window | None:
        """The smallest windows around both; None if they lie apart otherwise.

        As they do on two ways of different strides.
        """
        if self[:2] != other[:2]:
            return None
        start = tuple(map(min, self.start, other.start))
        stop = tuple(
            max(self.start[a] + self.size[a], other.start[a] + other.size[a])
            for a in range(2)
        )
        size = tuple(stop[a] - start[a] for a in range(2))
        return self._replace(start=start, size=size)

    def widened(self, tensor: tf.Tensor, other: Window) -> tf.Tensor:
        """Pads what these windows hold, `[..., *size, channels]`, to others."""
        pads = [(0, 0)] * (tensor.shape.rank - 3)
        for a in range(2):
            before = self.start[a] - other.start[a]
            pads.append((before, other.size[a] - self.size[a] - before))
        return _padded(tensor, [*pads, (0, 0)])

    def view(self, image: tf.Tensor, padding: float = 0.0) -> tf.Tensor:
        """Reads every window of an image.

        Args:
            image: Shape `[batch, height, width, channels]`.
            padding: Value outside of the image.

        Returns:
            Shape `[batch, *grid, *size, channels]`.
        """
        pads, begin, length = [(0, 0)], [0], [-1]
        for axis in range(2):
            needed = (self.grid[axis] - 1) * self.stride[axis] + self.size[axis]
            below = max(0, -self.start[axis])
            above = self.start[axis] + needed - image.shape[axis + 1]
            pads.append((below, max(0, above)))
            begin.append(max(0, self.start[axis]))
            length.append(needed)
        image = _padded(image, [*pads, (0, 0)], padding)
        channels = image.shape[-1]
        if image.shape[1:3] != length[1:]:
            image = tf.slice(image, [*begin, 0], [*length, channels])
        views = tf.image.extract_patches(
            image,
            [1, *self.size, 1],
            [1, *self.stride, 1],
            [1, 1, 1, 1],
            "VALID",
        )
        return tf.reshape(views, [-1, *self.grid, *self.size, channels])

    def places(self, axis: int, length: int) -> tf.Tensor:
        """1 where a window's place is a row: [grid, rows, size]."""
        grid = np.arange(self.grid[axis])[:, np.newaxis, np.newaxis]
        row = np.arange(length)[:, np.newaxis]
        place = np.arange(self.size[axis])
        at = grid * self.stride[axis] + self.start[axis] + place
        return tf.constant((at == row).astype(np.float32))


class Patches(Forms):
    """Forms of windows of an image, some at each point of a grid.

    What a convolution makes of an image reads a small window of it. Kept so,
    its coefficients are some hundred times fewer than those of `Dense`; and
    `[*forms]` is `[batch, rows * columns * forms]`.

    Args:
        tensor: Coefficients, shape `[batch, rows, columns, forms, height,
            width, channels]`: for each point of the window's grid some forms of
            the window there. A batch, rows or columns of 1 hold for all.
        window: The `Window`.
    """

    LEADING = 4
    OUTGROWS = True

    def __init__(self, tensor: tf.Tensor, window: Window) -> None:
        self.tensor, self.window = tensor, window

    @classmethod
    def identity(cls, node: Node) -> Patches:
        """The values of a node, and then, channelwise, those negated."""
        height, width, channels = node.shape
        eye = tf.eye(channels)
        both = tf.concat([eye, -eye], axis=0)
        tensor = tf.reshape(both, [1, 1, 1, 2 * channels, 1, 1, channels])
        return cls(tensor, Window.points(height, width))

    @staticmethod
    def both(node: Node, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Splits what was computed of `identity`: each of the node's shape."""
        height, width, channels = node.shape
        values = tf.reshape(values, [-1, height, width, 2, channels])
        return values[..., 0, :], values[..., 1, :]

    @staticmethod
    def numbers(node: Node, values: tf.Tensor) -> tf.Tensor:
        """Numbers of the forms of `identity`: values, and those negated.

        Args:
            node: The `Node`.
            values: Which of its values, flattened.

        Returns:
            Shape `[2, values]`.
        """
        channels = node.shape[-1]
        first = values + values // channels * channels
        return tf.stack([first, first + channels])

    def chosen(self, examples: Examples, numbers: tf.Tensor) -> Sparse:
        """Forms by their numbers, `[2, rows]`, for `Examples` of the rows.

        Those of a row share a place in the grid.
        """
        (_, columns), count = self.window.grid, self.tensor.shape[3]
        place, number = numbers[0] // count, numbers % count
        row, column = place // columns, place % columns
        if self.tensor.shape[1:3] == [1, 1]:
            tensor = tf.gather(self.tensor[0, 0, 0], number)
        else:
            both = (tf.broadcast_to(k, tf.shape(number)) for k in (row, column))
            index = tf.stack([*both, number], axis=-1)
            tensor = tf.gather_nd(self.tensor[0], index)
        places = tf.stack([examples.place, row, column], axis=1)
        return Sparse.of(self, tensor, examples, numbers, places)

    def negative(self) -> Patches:
        return Patches(tf.minimum(self.tensor, 0.0), self.window)

    def scaled(self, value: tf.Tensor) -> Patches:
        return Patches(self.tensor * self._beside(value), self.window)

    def dot(self, value: tf.Tensor) -> tf.Tensor:
        return self._total(self.tensor, self._beside(value))

    def dense(self, shape: tuple) -> Dense:
        rows, columns = self.window.grid
        leading = [tf.shape(self.tensor)[0], rows, columns]
        shared = self.tensor.shape[3:]
        tensor = tf.broadcast_to(self.tensor, [*leading, *shared])
        for axis, equation in enumerate(
            ("bijfrcz,iyr->bijfycz", "bijfycz,jxc->bijfyxz")
        ):
            places = self.window.places(axis, shape[axis])
            tensor = tf.einsum(equation, tensor, places)
        count = rows * columns * self.tensor.shape[3]
        return Dense(tf.reshape(tensor, [-1, count, *shape]))

    def _with(self, tensor, window):
        return Patches(tensor, window)

    def _sum(self, other):
        return Patches(self.tensor + other.tensor, self.window)

    def _beside(self, value, outside=0.0):
        """Windows of a value, `[batch, rows, columns, 1, ...]`."""
        return tf.expand_dims(self.window.view(value, outside), 3)

    def _total(self, tensor, beside):
        """Without the products."""
        places, count = beside.shape[4:].num_elements(), tensor.shape[3]
        if tensor.shape[:3] == [1, 1, 1]:
            # One matrix for all windows.
            views = tf.reshape(beside, [-1, places])
            matrix = tf.reshape(tensor, [count, places])
            product = tf.matmul(views, matrix, transpose_b=True)
        else:
            leading = [-1, *beside.shape[1:3]]
            views = tf.reshape(beside, [*leading, places, 1])
            product = tf.matmul(self._features(tensor), views)
        rows, columns = self.window.grid
        return tf.reshape(product, [-1, rows * columns * count])


def _padded(value, pads, filling=0.0):
    """Pads where there is something to pad."""
    if not any(map(any, pads)):
        return value
    return tf.pad(value, pads, constant_values=filling)
