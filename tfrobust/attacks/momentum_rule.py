"""How APGD steps under linf and l2."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.threats import Threat
from tfrobust.threats.rows import column
from tfrobust.types import TensorLike


class MomentumRule(NamedTuple):
    """Steepest steps with momentum, halved where they no longer help.

    Attributes, one row for each example:
        size: Length of a step as a fraction of epsilon, shape `[batch]`.
        previous: The iterate before the current one, of x's shape.
        loss: The loss of the current iterate, shape `[batch]`.
        rises: How often it rose since the last checkpoint, `[batch]`.
        checked: The best loss at the last checkpoint, `[batch]`.
        halved: Whether `size` was halved there, `[batch]`.

    Reference: Croce and Hein, 2020, arXiv 2003.01690, algorithm 1.
    """

    size: Any
    previous: Any
    loss: Any
    rises: Any
    checked: Any
    halved: Any

    @staticmethod
    def start(threat: Threat, x: tf.Tensor, seed: TensorLike) -> tf.Tensor:
        """A random point on the sphere of radius epsilon, then clipped."""
        return threat.sphere(x, seed)

    @staticmethod
    def checkpoints(steps: int) -> list[int]:
        """The iterates at which the size is reconsidered.

        Windows shrink from 22 % of the steps by 3 % each, to 6 %.
        """
        found: list[int] = []
        window = max(22 * steps // 100, 1)
        checkpoint = window
        while checkpoint < steps:
            found.append(checkpoint)
            window -= max(3 * steps // 100, 1)
            window = max(window, 6 * steps // 100, 1)
            checkpoint += window
        return found

    @classmethod
    def begin(
        cls, x: tf.Tensor, point: tf.Tensor, share: float | None = None
    ) -> "MomentumRule":
        """Starts at `point`; `share` is for `SparseRule`."""
        zero = tf.zeros(tf.shape(x)[:1])
        return cls(
            size=zero + 2.0,
            previous=point,
            # The first loss is no rise, and no best loss stood before it.
            loss=zero + math.inf,
            rises=zero,
            checked=zero - math.inf,
            halved=zero > 0,
        )

    def observe(self, loss: tf.Tensor) -> "MomentumRule":
        """Takes note of the loss of the current iterate."""
        rises = self.rises + tf.cast(loss > self.loss, tf.float32)
        return self._replace(loss=loss, rises=rises)

    def check(
        self,
        x: tf.Tensor,
        best: tf.Tensor,
        best_loss: tf.Tensor,
        rises: TensorLike,
    ) -> tuple[tf.Tensor, "MomentumRule"]:
        """Decides at a checkpoint.

        Args:
            x: Inputs, shape `[batch, ...]`.
            best: The iterates of largest loss so far, of x's shape.
            best_loss: Their losses, shape `[batch]`.
            rises: The size halves unless the loss rose more often than this.

        Returns:
            Which examples go on from `best`, shape `[batch]`, and the rule.
        """
        stuck = ~self.halved & (best_loss <= self.checked)
        halve = stuck | (self.rises <= rises)
        return halve, self._replace(
            size=tf.where(halve, self.size / 2, self.size),
            loss=tf.where(halve, best_loss, self.loss),
            rises=tf.zeros_like(self.rises),
            checked=best_loss,
            halved=halve,
        )

    def step(
        self,
        threat: Threat,
        x: tf.Tensor,
        point: tf.Tensor,
        gradient: tf.Tensor,
        first: tf.Tensor,
    ) -> tuple[tf.Tensor, "MomentumRule"]:
        """Returns the next iterate and the rule; `first` has no momentum."""
        box = threat.box(x)
        # The range is left to the projection, as in the paper.
        boundless = threat._replace(low=-math.inf, high=math.inf)
        ahead = boundless.ascend(x, point, gradient, column(self.size, x))
        ahead = threat.project(x, ahead, box) - point
        share = tf.where(first, 1.0, 0.75)
        moved = share * ahead + (1 - share) * (point - self.previous)
        moved = threat.project(x, point + moved, box)
        return moved, self._replace(previous=point)
