"""What sets of points share that are no balls."""

import abc
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.configurable import Configurable
from tfrobust.threats.rows import flat
from tfrobust.types import TensorLike


class Region(Configurable, abc.ABC):
    """The set of images that an image may be turned into, where it is no ball.

    There is no radius, nor a steepest step or a projection: each kind of
    region has an attack of its own, which knows it. What takes a `Threat`,
    such as PGD or a verifier, refuses it.
    """

    epsilon: Any = None  # There is no radius, in reports either.
    mask: Any = None
    is_box = False

    def _keep(self, low, high):
        """Checks the valid range, and keeps it."""
        for name, end in {"low": low, "high": high}.items():
            checks.number(end, name)
        checks.argument(low < high, "low", "be below high", (low, high))
        self.low, self.high = low, high

    @property
    def name(self) -> str:
        """What it is called in reports, such as "patch"."""
        return type(self).__name__.lower()

    @abc.abstractmethod
    def contains(self, x: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
        """Whether each point is in the set, shape `[batch]`."""

    def distance(self, x: TensorLike, perturbed: TensorLike) -> tf.Tensor:
        """The Euclidean length of `perturbed - x`, shape `[batch]`.

        It is told in reports, and bounds nothing.
        """
        return tf.norm(flat(perturbed) - flat(x), axis=1)

    def checked(self, x: TensorLike) -> tf.Tensor:
        """Returns images as float32 once they are known to be in the range.

        Raises:
            ValueError: If they aren't `[batch, height, width, channels]`.
        """
        x = checks.inputs(x, self.low, self.high)
        if x.shape.rank != 4:
            raise ValueError(
                "`x` must hold images of shape [batch, height, width, "
                f"channels] for a {self.name}. Received shape {x.shape}."
            )
        return x
