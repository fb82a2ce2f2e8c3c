"""The l2 threat."""

import tensorflow as tf

from tfrobust import streams
from tfrobust.backend import register
from tfrobust.threats.rows import flat, normalized, solve
from tfrobust.threats.threat import Threat


@register
class L2(Threat):
    """Moves of Euclidean length at most epsilon, within the valid range.

    Projection and steepest step are those of the ball intersected with the
    range, not of the ball followed by clipping.

    Args:
        epsilon: Radius: a float, schedule or tensor, see `Threat`.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        mask: 1 where an input may be perturbed, 0 elsewhere; None for all.

    Raises:
        ValueError: If epsilon is negative or not finite.

    Example:
        `tfr.threats.L2(128 / 255)`
    """

    order = 2.0

    def _draw(self, x, seed):
        direction = flat(streams.normal(x, seed))
        direction /= tf.maximum(_norm(direction), 1e-12)
        features = tf.cast(tf.shape(direction)[1], tf.float32)
        radius = streams.per_example(x, seed, stream=2) ** (1 / features)
        return tf.reshape(direction, tf.shape(x)) * radius

    def _steepest(self, perturbed, gradient, radius):
        lower, upper, scale = self._room(perturbed, perturbed, radius)
        rows, _ = normalized(flat(gradient))
        t = _multiplier(rows, lower, upper, scale)
        # With room for all, t is 0, but the step must stay finite.
        least = 1e-5 * tf.reduce_max(tf.abs(rows) * scale, 1, keepdims=True)
        step = tf.math.divide_no_nan(rows * scale**2, tf.maximum(t, least))
        return tf.reshape(step, tf.shape(gradient))

    def _nearest(self, x, perturbed):
        lower, upper, scale = self._room(x, x, self._epsilon(x))
        delta = flat(perturbed - x)

        def shrunk(t):
            share = scale**2 / (scale**2 + t)
            return tf.clip_by_value(delta * share, lower, upper)

        t = solve(lambda t: _norm(shrunk(t) / scale), _norm(delta * scale))
        return x + tf.reshape(shrunk(t), tf.shape(x))

    def reach(self, coefficients, down, up, scale):
        rows, size = normalized(coefficients)
        room = down, up, scale
        # The Lagrangian dual bounds the maximum from above at any multiplier.
        t = tf.stop_gradient(_multiplier(rows, *room))
        step = _maximizer(rows, *room)(t)
        gain = tf.reduce_sum(rows * step, axis=-1, keepdims=True)
        dual = gain + t / 2 * (1 - _norm(step / scale) ** 2)
        return tf.squeeze(size * dual, axis=-1)


def _maximizer(gradient, lower, upper, scale):
    """argmax over the box of <d, gradient> - t/2 |d / scale|^2, of t."""

    def step(t):
        return tf.clip_by_value(
            gradient * scale**2 / tf.maximum(t, 1e-30), lower, upper
        )

    return step


def _multiplier(gradient, lower, upper, scale):
    """The multiplier t at which that maximiser has |d / scale| <= 1."""
    step = _maximizer(gradient, lower, upper, scale)
    return solve(lambda t: _norm(step(t) / scale), _norm(gradient * scale))


def _norm(rows):
    return tf.sqrt(tf.reduce_sum(rows**2, axis=-1, keepdims=True))
