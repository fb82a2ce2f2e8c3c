"""Augmentation that can be taken back: a pure function of instance and step."""

import abc

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.backend import register
from tfrobust.configurable import Configurable
from tfrobust.types import TensorLike


class Augmentation(Configurable, abc.ABC):
    """Moves inputs, and what is remembered of them, alike.

    What is remembered of an instance lies on a canvas, of which the network
    sees a window. The window depends on the index of the instance and on the
    step alone, so it is found again to write into.

    Call arguments:
        index: Positions of the instances, shape `[batch]`.
        step: The training step, a scalar integer.
    """

    @abc.abstractmethod
    def canvas(self, shape: tuple) -> tuple:
        """The shape of the canvas for inputs of `shape`, without a batch."""

    @abc.abstractmethod
    def apply(
        self, x: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        """Inputs as the network sees them, of x's shape."""

    @abc.abstractmethod
    def window(
        self, canvas: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        """What can be seen of a canvas, of the inputs' shape."""

    @abc.abstractmethod
    def restore(
        self,
        canvas: tf.Tensor,
        window: tf.Tensor,
        index: TensorLike,
        step: TensorLike,
    ) -> tf.Tensor:
        """The canvas with a window written back, all else as it was."""


@register
class Identity(Augmentation):
    """Leaves inputs as they are.

    Example:
        `tfr.objectives.FGSMPGI(linf, tfr.instances.Identity())`
    """

    def canvas(self, shape: tuple) -> tuple:
        return tuple(shape)

    def apply(
        self, x: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        return x

    def window(
        self, canvas: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        return canvas

    def restore(
        self,
        canvas: tf.Tensor,
        window: tf.Tensor,
        index: TensorLike,
        step: TensorLike,
    ) -> tf.Tensor:
        return window


@register
class CropFlip(Augmentation):
    """Pads, crops at a random place, and flips every other image.

    Args:
        padding: Pixels that are added on each of the four sides.
        flip: Whether to flip left and right, at random.
        fill: Value of the added pixels, in the valid range of the inputs.
        seed: Integer that keys the random numbers.

    Raises:
        ValueError: If `padding` is negative or `fill` not finite; at use, if
            inputs aren't images, `[batch, height, width, channels]`.

    Example:
        tfr.objectives.ATTA(linf, augmentation=tfr.instances.CropFlip(4))
    """

    def __init__(
        self,
        padding: int = 4,
        flip: bool = True,
        fill: float = 0.0,
        seed: int = 0,
    ):
        checks.count(padding, "padding", least=0)
        checks.number(fill, "fill")
        self.padding, self.flip = padding, flip
        self.fill, self.seed = fill, seed

    def canvas(self, shape: tuple) -> tuple:
        if len(shape) != 3:
            raise ValueError(
                "CropFlip moves images of shape (height, width, channels). "
                f"Received inputs of shape {tuple(shape)}. Pass "
                "tfr.instances.Identity()."
            )
        height, width, channels = shape
        return height + 2 * self.padding, width + 2 * self.padding, channels

    def apply(
        self, x: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        added = [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]]
        padded = tf.pad(x, added, constant_values=self.fill)
        return tf.ensure_shape(self.window(padded, index, step), x.shape)

    def window(
        self, canvas: tf.Tensor, index: TensorLike, step: TensorLike
    ) -> tf.Tensor:
        top, left, flipped = self.draw(index, step)
        rows = tf.range(tf.shape(canvas)[1] - 2 * self.padding)
        columns = tf.range(tf.shape(canvas)[2] - 2 * self.padding)
        columns = tf.where(flipped, columns[::-1], columns)
        return _gathered(canvas, top + rows, left + columns)

    def restore(
        self,
        canvas: tf.Tensor,
        window: tf.Tensor,
        index: TensorLike,
        step: TensorLike,
    ) -> tf.Tensor:
        top, left, flipped = self.draw(index, step)
        height, width = tf.shape(window)[1], tf.shape(window)[2]
        rows = tf.range(tf.shape(canvas)[1]) - top
        columns = tf.range(tf.shape(canvas)[2]) - left
        columns = tf.where(flipped, width - 1 - columns, columns)
        seen = ((rows >= 0) & (rows < height))[:, :, tf.newaxis]
        seen &= ((columns >= 0) & (columns < width))[:, tf.newaxis]
        back = _gathered(
            window,
            tf.clip_by_value(rows, 0, height - 1),
            tf.clip_by_value(columns, 0, width - 1),
        )
        return tf.where(seen[..., tf.newaxis], back, canvas)

    def draw(
        self, index: TensorLike, step: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Top and left of the windows, and whether flipped, `[batch, 1]`."""
        keys = tf.cast(index, tf.int64)
        numbers = streams.draw(keys, streams.fold(self.seed, step), 3)
        places = tf.cast(numbers * (2 * self.padding + 1), tf.int32)
        flipped = (numbers[:, 2:] < 0.5) & self.flip
        return places[:, :1], places[:, 1:2], flipped


def _gathered(images, rows, columns):
    """Some rows and columns of each image, both `[batch, some]`."""
    some = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(some, columns, axis=2, batch_dims=1)
