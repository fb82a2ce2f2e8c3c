"""Where the runs of APGD are."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.attacks.active import choose
from tfrobust.threats import Threat


class Climb(NamedTuple):
    """Where one run of APGD is, for each example.

    A loss is infinite if the model errs: no other point is worse.

    Attributes:
        rule: How it steps, a `MomentumRule` or a `SparseRule`.
        point: The current iterate, of x's shape.
        gradient: The gradient of its loss, of x's shape.
        best: The iterate of largest loss so far, of x's shape.
        best_gradient: The gradient there, of x's shape.
        best_loss: The loss there, shape `[batch]`.
    """

    rule: Any
    point: Any
    gradient: Any
    best: Any
    best_gradient: Any
    best_loss: Any

    @classmethod
    def begin(cls, rule: Any, point: tf.Tensor, loss: tf.Tensor) -> "Climb":
        """Starts at `point`; where `loss` is infinite, nothing is searched."""
        zero = tf.zeros_like(point)
        return cls(
            rule=rule,
            point=point,
            gradient=zero,
            best=point,
            best_gradient=zero,
            best_loss=tf.where(loss < math.inf, -math.inf, math.inf),
        )

    def active(self) -> tf.Tensor:
        """Where the model hasn't erred yet, shape `[batch]`."""
        return self.best_loss < math.inf

    def shrink(self, threat: Threat, x: tf.Tensor) -> "Climb":
        """Begins again, from the best iterate, in a smaller ball."""
        point = threat.project(x, self.best)
        return self.begin(self.rule.begin(x, point), point, self.best_loss)

    def observe(self, loss: tf.Tensor, gradient: tf.Tensor) -> "Climb":
        """Takes note of the loss and the gradient of the current iterate."""
        best, best_gradient, best_loss = choose(
            loss > self.best_loss,
            (self.point, gradient, loss),
            (self.best, self.best_gradient, self.best_loss),
        )
        return self._replace(
            rule=self.rule.observe(loss),
            gradient=gradient,
            best=best,
            best_gradient=best_gradient,
            best_loss=best_loss,
        )

    def check(self, x: tf.Tensor, rises: tf.Tensor) -> "Climb":
        """Adapts the steps; what they fail goes on from its best iterate."""
        back, rule = self.rule.check(x, self.best, self.best_loss, rises)
        point, gradient = choose(
            back,
            (self.best, self.best_gradient),
            (self.point, self.gradient),
        )
        return self._replace(rule=rule, point=point, gradient=gradient)

    def step(self, threat: Threat, x: tf.Tensor, first: tf.Tensor) -> "Climb":
        """Moves on; the `first` step has no momentum."""
        point, rule = self.rule.step(
            threat, x, self.point, self.gradient, first
        )
        return self._replace(rule=rule, point=point)
