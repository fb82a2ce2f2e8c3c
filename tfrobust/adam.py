"""Adam's steps, for what is optimised inside a graph."""

from typing import Any, NamedTuple

import tensorflow as tf


class Adam(NamedTuple):
    """Averages of the gradients of some points, from which steps are made.

    What is no number is left out: one NaN would stay for good.

    Attributes:
        count: How many gradients there were.
        mean: Average of the gradients, of the points' structure.
        square: Average of their squares, likewise.

    Reference: Kingma and Ba, 2015, arXiv 1412.6980, algorithm 1.
    """

    count: Any
    mean: Any
    square: Any

    @classmethod
    def begin(cls, points: Any) -> "Adam":
        """Before the first gradient of nested points."""
        zeros = tf.nest.map_structure(tf.zeros_like, points)
        return cls(0.0, zeros, zeros)

    def step(
        self, gradients: Any, decay: tuple[float, float] = (0.9, 0.999)
    ) -> tuple[Any, "Adam"]:
        """Returns steps of length 1, uphill, and the new averages."""
        count = self.count + 1.0

        def average(which, old, new):
            new = tf.where(tf.math.is_finite(new), new, 0.0)
            return decay[which] * old + (1 - decay[which]) * new

        def direction(mean, square):
            # Corrected for averages that began at 0.
            mean /= 1 - decay[0] ** count
            square /= 1 - decay[1] ** count
            return tf.math.divide_no_nan(mean, tf.sqrt(square))

        mean = tf.nest.map_structure(
            lambda m, g: average(0, m, g), self.mean, gradients
        )
        square = tf.nest.map_structure(
            lambda s, g: average(1, s, g**2), self.square, gradients
        )
        steps = tf.nest.map_structure(direction, mean, square)
        return steps, Adam(count, mean, square)
