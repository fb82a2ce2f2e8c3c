"""How APGD steps under l1."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust import streams
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat
from tfrobust.threats.water_filling import bisect
from tfrobust.types import TensorLike


class SparseRule(NamedTuple):
    """Sign steps on the few features of largest gradient.

    The best perturbation tells how many. Unlike in the paper, a step always
    moves some feature that can move: else, once the largest are at the edge
    of the range, it would go nowhere, even on a linear model.

    Attributes, one row for each example, shape `[batch]`:
        size: Length of a step as a fraction of epsilon.
        count: How many features a step moves; it is rounded down.
        support: How many features the best iterate had moved at the last
            checkpoint.

    Reference: Croce and Hein, 2021, arXiv 2103.01208, section 3.
    """

    size: Any
    count: Any
    support: Any

    @staticmethod
    def start(threat: Threat, x: tf.Tensor, seed: TensorLike) -> tf.Tensor:
        """The projection of normal noise."""
        return threat.project(x, x + streams.normal(x, seed))

    @staticmethod
    def checkpoints(steps: int) -> list[int]:
        """The iterates at which sparsity and size are reconsidered."""
        window = max(4 * steps // 100, 1)
        return list(range(window, steps, window))

    @classmethod
    def begin(
        cls, x: tf.Tensor, point: tf.Tensor, share: float | None = None
    ) -> "SparseRule":
        """Starts at `point`, moving `share` of the features.

        None moves what the support of `point` suggests.
        """
        features = tf.reduce_sum(tf.ones_like(flat(x)), axis=1)
        support = features if share else _support(x, point)
        return cls(
            size=tf.ones_like(support),
            count=share * features if share else support / 1.5,
            support=support,
        )

    def observe(self, loss: tf.Tensor) -> "SparseRule":
        """The losses themselves don't matter."""
        return self

    def check(
        self,
        x: tf.Tensor,
        best: tf.Tensor,
        best_loss: tf.Tensor,
        rises: TensorLike,
    ) -> tuple[tf.Tensor, "SparseRule"]:
        """Decides at a checkpoint; see `MomentumRule.check`."""
        support = _support(x, best)
        sparser = support < 0.95 * self.support
        size = tf.clip_by_value(self.size / 1.5, 0.1, 1.0)
        return sparser, self._replace(
            size=tf.where(sparser, 1.0, size),
            count=support / 1.5,
            support=support,
        )

    def step(
        self,
        threat: Threat,
        x: tf.Tensor,
        point: tf.Tensor,
        gradient: tf.Tensor,
        first: tf.Tensor,
    ) -> tuple[tf.Tensor, "SparseRule"]:
        """Returns the next iterate and the rule."""
        if threat.features is not None:
            # Which features move is the threat's to say.
            size = column(self.size, x)
            ahead = threat.ascend(x, point, gradient, size)
            return threat.project(x, ahead), self
        reach = threat.radii(x)
        gain = flat(tf.abs(gradient) * reach)
        free = tf.where(_stopped(threat, x, point, gradient), 0.0, gain)
        # Once nothing can move of what is largest, the next one does.
        most = tf.reduce_max(free, axis=1, keepdims=True)
        moved = _largest(gain, self.count) | (gain >= most)
        count = tf.reduce_sum(tf.cast(moved & (free > 0), tf.float32), axis=1)
        length = column(tf.math.divide_no_nan(self.size, count), x)
        # What the range stops goes on, or the projection would pull it back.
        signs = tf.reshape(tf.cast(moved, tf.float32), tf.shape(x))
        step = length * reach * signs * tf.sign(gradient)
        return threat.project(x, point + step), self


def _stopped(threat, x, point, gradient):
    """Whether the way up leads out of the box, as rows."""
    lower, upper = threat.box(x)
    return flat(tf.where(gradient > 0, point >= upper, point <= lower))


def _largest(gain, count):
    """Marks `count` features of each row, at least one, ties included."""
    count = tf.maximum(tf.floor(count), 1.0)[:, tf.newaxis]

    def excess(t):
        # At most 1 iff fewer than `count` exceed t.
        more = tf.cast(gain > t, tf.float32)
        return tf.reduce_sum(more, axis=1, keepdims=True) - count + 2

    failing, _ = bisect(excess, tf.reduce_max(gain, axis=1, keepdims=True))
    return gain > failing


def _support(x, point):
    """How many features of each example differ, shape `[batch]`."""
    return tf.reduce_sum(tf.cast(flat(point != x), tf.float32), axis=1)
