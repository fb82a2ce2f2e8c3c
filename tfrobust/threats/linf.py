"""The linf threat."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import streams
from tfrobust.backend import Schedule, register
from tfrobust.kinds import range_shown
from tfrobust.threats.threat import Threat
from tfrobust.threats.water_filling import grown, growth
from tfrobust.types import TensorLike


@register
class Linf(Threat):
    """Every feature moves by at most epsilon, within the valid range.

    Args:
        epsilon: Radius: a float, schedule or tensor, see `Threat`.
        low: Smallest valid value of an input; or an array, one a feature.
        high: Largest valid value of an input, likewise.
        mask: 1 where an input may be perturbed, 0 elsewhere; None for all.

    Raises:
        ValueError: If epsilon is negative, not finite, or at least as wide as
            the valid range.

    Example:
        `tfr.threats.Linf(8 / 255)`
    """

    is_box = True

    def __init__(
        self,
        epsilon: TensorLike | Schedule,
        low: Any = 0.0,
        high: Any = 1.0,
        mask: TensorLike | None = None,
    ):
        super().__init__(epsilon, low, high, mask)
        width = np.max(np.subtract(self.high, self.low))
        if isinstance(self.epsilon, float) and self.epsilon >= width:
            raise ValueError(
                "`epsilon` must be below the width of the valid range, "
                f"{range_shown(low, high)}. Received: epsilon={epsilon:g}. "
                f"Did you mean {epsilon:g}/255?"
            )

    def norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, math.inf, axis=-1)

    def dual_norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, 1, axis=-1)

    def _draw(self, x, seed):
        return 2 * streams.uniform(x, seed) - 1

    def _steepest(self, x, perturbed, gradient, radius):
        return radius * tf.sign(gradient)

    def _nearest(self, x, perturbed):
        return perturbed

    def reach(
        self,
        coefficients: tf.Tensor,
        down: tf.Tensor,
        up: tf.Tensor,
        scale: tf.Tensor,
    ) -> tf.Tensor:
        centre, radius = (down + up) / 2, (up - down) / 2
        return _sum(coefficients, centre) + _sum(tf.abs(coefficients), radius)

    def least_move(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        return grown(gain, room, level, 1.0)

    def least_norm(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        return growth(gain, room, level, 1.0)


def _sum(coefficients, values):
    """Sums of products along the last axis, without the products."""
    one = values.shape[-2] == 1
    if coefficients.shape[0] == 1 and one and coefficients.shape.rank == 3:
        return tf.matmul(values[:, 0], coefficients[0], transpose_b=True)
    if one:
        return tf.squeeze(tf.matmul(coefficients, values, transpose_b=True), -1)
    return tf.reduce_sum(coefficients * values, axis=-1)
