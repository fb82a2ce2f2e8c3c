"""The l1 threat."""

import math
from typing import Any

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.backend import Schedule, register
from tfrobust.threats.rows import column, flat, normalized
from tfrobust.threats.threat import Threat
from tfrobust.threats.water_filling import (
    filled,
    price,
    soft_threshold,
    total,
)
from tfrobust.types import TensorLike


@register
class L1(Threat):
    """Moves whose absolute values sum to at most epsilon, within the range.

    Projection and steepest step are those of the ball intersected with the
    range ("mind the box"): a step fills the pixels with the largest gradient
    up to the range, one after the other, until its length is spent.

    With a cap on the features that move, a projection keeps those that bring
    it nearest, and projects on what the ball and the range allow these. A step
    moves those that gain most, and takes over what others have moved. What
    verifiers bound, `support`, `room` and `box`, stays that of the set
    without the cap: it is larger, so bounds stay sound.

    Args:
        epsilon: Radius: a float, schedule or tensor, see `Threat`.
        low: Smallest valid value of an input; or an array, one a feature.
        high: Largest valid value of an input, likewise.
        mask: 1 where an input may be perturbed, 0 elsewhere; None for all.
        features: How many features of an input may move, at least 1; None
            for any number.

    Raises:
        ValueError: If epsilon is negative or not finite, or `features` is
            below 1.

    Example:
        `tfr.threats.L1(12.0)`

    Reference: Croce and Hein, 2021, arXiv 2103.01208, section 2.
    """

    is_sparse = True

    def __init__(
        self,
        epsilon: TensorLike | Schedule,
        low: Any = 0.0,
        high: Any = 1.0,
        mask: TensorLike | None = None,
        features: int | None = None,
    ):
        super().__init__(epsilon, low, high, mask)
        if features is not None:
            checks.count(features, "features")
        self.features = features

    def norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, 1, axis=-1)

    def dual_norm(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.norm(rows, math.inf, axis=-1)

    def sparse(self, x: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
        """Undoes all but the moves that `features` allows, the best ones."""
        if self.features is None:
            return perturbed
        move = tf.clip_by_value(perturbed, *self.box(x)) - x
        # By how much a move brings the square of the distance down.
        gain = move * (2 * (perturbed - x) - move)
        kept = tf.reshape(_largest(flat(gain), self.features), tf.shape(x))
        return tf.where(kept, perturbed, x)

    def _draw(self, x, seed):
        u = flat(streams.uniform(x, seed))
        sizes = -tf.math.log(1 - u)
        if self.features is not None:
            free = 1.0 if self.mask is None else self.mask
            lots = flat(streams.uniform(x, seed, stream=3) * free)
            sizes = tf.where(_largest(lots, self.features), sizes, 0.0)
        sizes /= tf.maximum(tf.reduce_sum(sizes, axis=1, keepdims=True), 1e-12)
        sign = tf.where(streams.uniform(x, seed, stream=1) < 0.5, -1.0, 1.0)
        moved = tf.minimum(tf.shape(u)[1], self.features or tf.int32.max)
        features = tf.cast(moved, tf.float32)
        radius = streams.per_example(x, seed, stream=2) ** (1 / features)
        return sign * tf.reshape(sizes, tf.shape(x)) * radius

    def _steepest(self, x, perturbed, gradient, radius):
        if self.features is not None:
            kept, left = self._promising(x, perturbed, gradient)
            begin = tf.where(kept, perturbed, x)
            gradient = tf.where(kept, gradient, 0.0)
            radius += self._epsilon(x) * column(left, x)
            step = self._filled(begin, gradient, radius)
            return begin - perturbed + step
        return self._filled(perturbed, gradient, radius)

    def _promising(self, x, perturbed, gradient):
        """Marks the features that gain most, and sums up the others' moves.

        By a step alone, features that don't move yet never displace those
        that a random start or earlier steps have moved.
        """
        lower, upper, scale = self._room(x, x, self._epsilon(x))
        gain, room = _gains(flat(gradient), lower, upper, scale)
        kept = _largest(gain * room, self.features)
        # Where the gradient is 0, nothing is more promising than what is.
        kept |= tf.reduce_max(gain, axis=1, keepdims=True) == 0
        moves = tf.where(kept, 0.0, tf.abs(flat(perturbed - x)) / scale)
        kept = tf.reshape(kept, tf.shape(x))
        return kept, tf.reduce_sum(moves, axis=1)

    def _filled(self, perturbed, gradient, radius):
        lower, upper, scale = self._room(perturbed, perturbed, radius)
        rows, _ = normalized(flat(gradient))
        gain, room = _gains(rows, lower, upper, scale)
        taken, passing = filled(gain, room, room)
        # Those that the range stops go on in proportion to their gain, so that
        # a projection takes from the least of them first.
        least = 1e-3 * tf.reduce_max(gain, axis=1, keepdims=True)
        long = tf.math.divide_no_nan(gain, tf.maximum(passing, least))
        long = tf.where(room < 1, tf.maximum(room, long), room)
        taken = tf.where(gain > passing, long, taken)
        step = tf.sign(rows) * taken * scale
        return tf.reshape(step, tf.shape(gradient))

    def _nearest(self, x, perturbed):
        lower, upper, scale = self._room(x, x, self._epsilon(x))
        delta = flat(self.sparse(x, perturbed) - x)
        size, room = tf.abs(delta), tf.where(delta > 0, upper, -lower)

        t = soft_threshold(size, room, scale)
        size = tf.minimum(tf.maximum(size - t / scale, 0.0), room)
        return x + tf.reshape(tf.sign(delta) * size, tf.shape(x))

    def reach(
        self,
        coefficients: tf.Tensor,
        down: tf.Tensor,
        up: tf.Tensor,
        scale: tf.Tensor,
    ) -> tf.Tensor:
        rows, size = normalized(coefficients)
        gain, room = _gains(rows, down, up, scale)
        # The dual of the linear programme bounds it from above at any t. Its
        # solution, the largest gain that is not spent on in full, also has
        # the right gradient.
        t = price(gain, room)
        spent = total(room * tf.maximum(gain - t, 0.0))
        return (size * (t + spent))[..., 0]

    def least_move(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        budget = tf.maximum(level, 1e-30)
        return filled(gain, room, gain * room, budget, count=30)[0]

    def least_norm(
        self, gain: tf.Tensor, room: tf.Tensor, level: tf.Tensor
    ) -> tf.Tensor:
        last = price(gain, gain * room, tf.maximum(level, 1e-300))
        # The dual bounds the sum from below at any gain.
        saved = total(room * tf.maximum(gain - last, 0.0))
        return tf.math.divide_no_nan(level - saved, last)


def _gains(gradient, lower, upper, scale):
    """Gain for each unit of budget, and the budget that a feature can take."""
    room = tf.where(gradient > 0, upper, -lower) / scale
    return tf.abs(gradient) * scale, room


def _largest(rows, count):
    """Marks the `count` largest of each row; the first ones of equals."""
    count = tf.minimum(count, tf.shape(rows)[1])
    least = tf.math.top_k(rows, count).values[:, -1:]
    above, equal = rows > least, rows == least
    order = tf.cumsum(tf.cast(equal, tf.float32), axis=1)
    places = tf.cast(count, tf.float32) - _count(above)
    return above | (equal & (order <= places))


def _count(marks):
    return tf.reduce_sum(tf.cast(marks, tf.float32), axis=1, keepdims=True)
