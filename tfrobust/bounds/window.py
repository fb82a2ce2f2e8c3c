"""Windows that slide over an image."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


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
    def points(cls, height, width):
        """Every point of an image by itself."""
        return cls((height, width), (1, 1), (0, 0), (1, 1))

    def before(self, strides, kernel, padding):
        """What these windows of a convolution's output read of its input."""
        pairs = range(2)
        return Window(
            self.grid,
            tuple(self.stride[a] * strides[a] for a in pairs),
            tuple(self.start[a] * strides[a] - padding[a] for a in pairs),
            tuple((self.size[a] - 1) * strides[a] + kernel[a] for a in pairs),
        )

    def exceeds(self, shape):
        """Whether a window has more places than an image of this shape."""
        return self.size[0] * self.size[1] > shape[0] * shape[1]

    def leaves(self, shape):
        """Whether a window reads what is outside of an image of this shape."""
        return any(
            self.start[a] < 0
            or (self.grid[a] - 1) * self.stride[a] + self.start[a]
            > shape[a] - self.size[a]
            for a in range(2)
        )

    def union(self, other):
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

    def widened(self, tensor, other):
        """Pads what these windows hold, `[..., *size, channels]`, to others."""
        pads = [(0, 0)] * (tensor.shape.rank - 3)
        for a in range(2):
            before = self.start[a] - other.start[a]
            pads.append((before, other.size[a] - self.size[a] - before))
        return _padded(tensor, [*pads, (0, 0)])

    def view(self, image, padding=0.0):
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

    def places(self, axis, length):
        """1 where a window's place is a row: [grid, rows, size]."""
        grid = np.arange(self.grid[axis])[:, np.newaxis, np.newaxis]
        row = np.arange(length)[:, np.newaxis]
        place = np.arange(self.size[axis])
        at = grid * self.stride[axis] + self.start[axis] + place
        return tf.constant((at == row).astype(np.float32))


def _padded(value, pads, filling=0.0):
    """Pads where there is something to pad."""
    if not any(map(any, pads)):
        return value
    return tf.pad(value, pads, constant_values=filling)
