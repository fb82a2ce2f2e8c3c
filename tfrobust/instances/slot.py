"""What an objective wants to be remembered of each instance."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Slot(NamedTuple):
    """One value to be remembered of each instance.

    Attributes:
        shape: Of the value of one instance: `()` for a number.
        initial: What every entry is before it is written.
        unit: Whether values lie in [-1, 1], such as perturbations in units
            of epsilon; these alone may be stored in less than float32.

    Example:
        `tfr.instances.Slot(shape=(28, 28, 1), unit=True)`
    """

    shape: tuple[int, ...] = ()
    initial: float = 0.0
    unit: bool = False

    def bytes_of(self, storage: str) -> int:
        """Bytes for one instance."""
        return int(np.prod(self.shape)) * np.dtype(self.kept(storage)).itemsize

    def kept(self, storage: str) -> str:
        """The type that its values are stored in."""
        return storage if self.unit else "float32"

    def encode(self, values: tf.Tensor, storage: str) -> tf.Tensor:
        """Values as they are stored."""
        if self.kept(storage) == "int8":
            values = tf.round(127 * tf.clip_by_value(values, -1.0, 1.0))
        return tf.cast(values, self.kept(storage))

    def decode(self, stored: tf.Tensor) -> tf.Tensor:
        """Values from what is stored, float32."""
        values = tf.cast(stored, tf.float32)
        return values / 127 if stored.dtype == tf.int8 else values
