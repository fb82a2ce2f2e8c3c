"""Images cropped at random, and put back somewhere else."""

import numbers
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import backend, checks, streams
from tfrobust.backend import keras, register


@register
class CropShift(keras.layers.Layer):
    """Crops a random window of an image and puts it anywhere, on zeros.

    In training `s` of 0 to `max_shift` rows and columns together are cut off,
    `s = s_y + s_x`. Where the window is cut out and where it is put are drawn
    one apart from the other. Inference leaves images alone. As the first
    layer of a network that is trained against an attack, it moves an image
    once, before the attack.

    One weight counts the calls: the draws of an image are keyed by the image,
    `seed` and that count, so a run that goes on draws what it would have.

    Args:
        max_shift: Most rows and columns together to cut off, below the height
            and the width of the images. The authors take 10 on CIFAR-10.
        seed: Integer that keys the draws.
        name: Of the layer, as in Keras.
        dtype: As in Keras, also a policy of mixed precision.
        trainable: As in Keras; there is nothing to train.
        **kwargs: Others of every Keras layer.

    Call arguments:
        inputs: Images, shape `[batch, height, width, channels]`.
        training: Whether to move them.

    Raises:
        ValueError: If `max_shift` is negative; at use, if inputs aren't
            images, or leave no pixel to some window.

    Example:
        `tfr.layers.CropShift(10)`

    Reference: Li and Spratling, 2023, arXiv 2301.09879 (IDBH).
    """

    def __init__(
        self,
        max_shift: int,
        seed: int = 0,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **kwargs,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable, **kwargs)
        checks.count(max_shift, "max_shift", least=0)
        checks.kind(seed, numbers.Integral, "seed", "0")
        self.max_shift, self.seed = max_shift, seed
        # Here, since the first call may be within a dataset.
        zero = tf.constant(0)
        self.calls = backend.state(self, "calls", (), "int64", zero)

    def call(self, inputs: tf.Tensor, training: Any = False) -> tf.Tensor:
        if not training:
            return inputs
        height, width = self._size(inputs.shape)
        rows, columns = self._draw(inputs)
        moved = _moved(inputs, rows, height, axis=1)
        return _moved(moved, columns, width, axis=2)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {"max_shift": self.max_shift, "seed": self.seed}
        return {**super().get_config(), **own}

    def _size(self, shape):
        """Height and width of images, after checking them."""
        fine = len(shape) == 4 and None not in shape[1:3]
        if not fine or min(shape[1:3]) <= self.max_shift:
            raise ValueError(
                "CropShift moves images of shape [batch, height, width, "
                "channels], higher and wider than `max_shift`. Received: "
                f"inputs of shape {tuple(shape)}, max_shift={self.max_shift}."
            )
        return shape[1:3]

    def _draw(self, inputs):
        """Of rows and of columns: how many are cut, from where, to where."""
        calls = backend.raw(self.calls)
        seed = streams.fold(self.seed, tf.convert_to_tensor(calls))
        calls.assign_add(tf.ones_like(seed))
        numbers = streams.draw(streams.keys(inputs), seed, 6)
        total, split, *places = tf.split(numbers, 6, axis=1)
        total = _up_to(self.max_shift, total)
        high = _up_to(total, split)
        wide = total - high
        return (
            (high, *(_up_to(high, place) for place in places[:2])),
            (wide, *(_up_to(wide, place) for place in places[2:])),
        )


def _up_to(largest, uniform):
    """The integer of 0 to `largest` that a draw of U[0, 1) stands for."""
    return tf.cast(uniform * tf.cast(largest + 1, tf.float32), tf.int32)


def _moved(images, draw, size, axis):
    """Images with what is left along an axis, put elsewhere along it."""
    cut, source, target = draw
    place = tf.range(size) - target  # In the window, shape `[batch, size]`.
    seen = (place >= 0) & (place < size - cut)
    pixels = tf.clip_by_value(place + source, 0, size - 1)
    found = tf.gather(images, pixels, axis=axis, batch_dims=1)
    shape = [-1, size, 1, 1] if axis == 1 else [-1, 1, size, 1]
    return tf.where(tf.reshape(seen, shape), found, tf.zeros_like(found))
