"""Objectives with a penalty on the bounds of what activations read."""

import abc
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.wrapper import Wrapper
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifiers.bounding import Bounding


class BoundRegularized(Wrapper):
    """Adds a penalty on intervals to every example's loss.

    A subclass calls `_set` in its `__init__`, and writes `_penalty`.
    """

    verifier: Any
    weight: Amount

    def _set(self, objective: Objective, verifier: Bounding, weight: Amount):
        self._wrap(objective)
        checks.kind(verifier, Bounding, "verifier", "tfr.verifiers.IBP(threat)")
        checks.amount(weight, "weight", low=0)
        self.verifier, self.weight = verifier, weight

    def adversaries(self) -> dict:
        """Those inside: the verifier only says how wide intervals are."""
        return self.objective.adversaries()

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return x, self.objective.search(model, x, y)

    def watched(self, found: Any) -> tf.Tensor | None:
        return super().watched(found[1])

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        x, found = found
        outcome = self.objective.outcome(model, x, y, found)
        penalty = self._bounding().traced(
            model, x, y, lambda bounds, _: self._penalty(bounds)
        )
        name = self.reports[0]
        shown = penalty + tf.zeros_like(outcome.losses)
        return outcome._replace(
            losses=outcome.losses + self.weight * penalty,
            reported={**outcome.reported, name: tf.stop_gradient(shown)},
        )

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        return super().after(outcome, found[1], gradient)

    def _bounding(self):
        """The verifier that bounds what activations read."""
        return self.verifier

    @abc.abstractmethod
    def _penalty(self, bounds):
        """What is added to the losses, a number or `[batch]`."""


def of_relus(bounds: Any) -> list:
    """Lower and upper bounds of what each ReLU reads, in order."""
    return [
        tuple(interval)
        for node, interval in bounds.read.items()
        if node.type == "Relu"
    ]
