"""The l2 threat."""

import numpy as np
import tensorflow as tf

from tfrobust import streams
from tfrobust.backend import register
from tfrobust.threats.rows import column, flat, normalized
from tfrobust.threats.threat import Threat
from tfrobust.threats.water_filling import (
    bisect,
    grown,
    growth,
    multiplier,
    total,
)

# The least square of a length: at 0 a square root has no finite slope.
_TINY = 1e-300


@register
class L2(Threat):
    """Moves of Euclidean length at most epsilon, within the valid range.

    Projection and steepest step are those of the ball intersected with the
    range, not of the ball followed by clipping.

    Args:
        epsilon: Radius: a float, schedule or tensor, see `Threat`.
        low: Smallest valid value of an input; or an array, one a feature.
        high: Largest valid value of an input, likewise.
        mask: 1 where an input may be perturbed, 0 elsewhere; None for all.

    Raises:
        ValueError: If epsilon is negative or not finite.

    Example:
        `tfr.threats.L2(128 / 255)`
    """

    def norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, axis=-1)

    def dual_norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, axis=-1)

    def _draw(self, x, seed):
        direction = flat(streams.normal(x, seed))
        direction /= tf.maximum(_norm(direction), 1e-12)
        features = tf.cast(tf.shape(direction)[1], tf.float32)
        radius = streams.per_example(x, seed, stream=2) ** (1 / features)
        return tf.reshape(direction, tf.shape(x)) * radius

    def _steepest(self, x, perturbed, gradient, radius):
        rows, _ = normalized(flat(gradient))
        lower, upper, scale = self._room(perturbed, perturbed, radius)
        if np.all(np.isinf(self.low)) and np.all(np.isinf(self.high)):
            t = _norm(rows * scale)
        else:
            t = _multiplier(rows, lower, upper, scale)
        # With room for all, t is 0, but the step must stay finite.
        least = 1e-5 * tf.reduce_max(tf.abs(rows) * scale, 1, keepdims=True)
        step = tf.math.divide_no_nan(rows * scale**2, tf.maximum(t, least))
        return tf.reshape(step, tf.shape(gradient))

    def _nearest(self, x, perturbed):
        epsilon = self._epsilon(x)
        if set(epsilon.shape[1:]) <= {1}:
            return self._shrunk(x, perturbed, tf.maximum(epsilon, 1e-15))
        lower, upper, scale = self._room(x, x, epsilon)
        delta = flat(perturbed - x)

        def shrunk(t):
            share = scale**2 / (scale**2 + t)
            return tf.clip_by_value(delta * share, lower, upper)

        _, t = bisect(lambda t: _norm(shrunk(t) / scale), _norm(delta * scale))
        return x + tf.reshape(shrunk(t), tf.shape(x))

    def _shrunk(self, x, perturbed, epsilon):
        """The same if an example has one epsilon: towards x, along a line."""
        inside = tf.clip_by_value(perturbed, self.low, self.high) - x
        if self.mask is not None:
            inside = tf.where(self.mask > 0, inside, 0.0)
        delta = perturbed - x
        squares, limits = (flat((d / epsilon) ** 2) for d in (delta, inside))
        t = multiplier(squares, limits)
        return x + delta / column(tf.maximum(t, 1.0), x)

    def reach(
        self,
        coefficients: tf.Tensor,
        down: tf.Tensor,
        up: tf.Tensor,
        scale: tf.Tensor,
    ) -> tf.Tensor:
        rows, size = normalized(coefficients)
        # The Lagrangian dual bounds the maximum from above at any multiplier.
        t = tf.stop_gradient(_multiplier(rows, down, up, scale))
        step = rows * scale**2 / tf.maximum(t, 1e-30)
        step = tf.clip_by_value(step, down, up)
        gain = tf.reduce_sum(rows * step, axis=-1, keepdims=True)
        dual = gain + t / 2 * (1 - _norm(step / scale) ** 2)
        return tf.squeeze(size * dual, axis=-1)

    def least_move(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        return grown(gain, room, level, gain)

    def least_norm(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        move = tf.minimum(gain * growth(gain, room, level, gain), room)
        return tf.sqrt(tf.maximum(total(move**2), _TINY))


def _multiplier(gradient, lower, upper, scale):
    """The t at which `clip(gradient * scale**2 / t)` leaves the unit ball."""
    limits = (tf.where(gradient > 0, upper, lower) / scale) ** 2
    return multiplier((gradient * scale) ** 2, limits)


def _norm(rows):
    return tf.sqrt(total(rows**2))
