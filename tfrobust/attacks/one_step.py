"""What attacks of one gradient share."""

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.gradients import input_gradient
from tfrobust.types import Model, TensorLike


class Step(NamedTuple):
    """Where a step leads, and the gradient that it follows, shape of x."""

    point: tf.Tensor
    gradient: tf.Tensor


class OneStep(Attack):
    """One step along the gradient at one point."""

    loss: Any  # What to ascend.

    def step_of(self, model: Model, x: tf.Tensor, y: TensorLike) -> Step:
        """Takes the step of `perturb`.

        Args:
            model: As in `perturb`.
            x: Inputs, checked and float32.
            y: Labels.
        """
        begin = self._begin(x, self.step)
        *_, gradient = input_gradient(
            model, begin, lambda z: severity.ascended(self.loss, y, z)
        )
        return Step(self._moved(x, begin, gradient), gradient)

    def _perturb(self, model, x, y, start, step):
        return self._replace(step=step).step_of(model, x, y).point

    @abc.abstractmethod
    def _begin(self, x, step):
        """The points whose gradient is followed."""

    @abc.abstractmethod
    def _moved(self, x, begin, gradient):
        """The points that the step leads to."""
