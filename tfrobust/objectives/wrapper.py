"""Objectives around another one."""

from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Model, TensorLike


class Wrapper(Objective):
    """Searches as the objective inside does, and changes its outcome."""

    objective: Any

    def _wrap(self, objective):
        example = "tfr.objectives.WorstCase(tfr.attacks.PGD(threat))"
        checks.kind(objective, Objective, "objective", example)
        self.objective = objective

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return self.objective.search(model, x, y)

    def watched(self, found: Any) -> tf.Tensor | None:
        return self.objective.watched(found)

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        after = self.objective.after(outcome, found, gradient)
        # What it writes then is added to what this one wrote.
        return after._replace(rows={**outcome.rows, **after.rows})


def judged_logits(outcome: Outcome) -> tf.Tensor:
    """The first adversary's logits, or else the clean ones, without gradient.

    Raises:
        ValueError: If there are none.
    """
    found = [*outcome.worst.values(), outcome.clean]
    if found[0] is None:
        raise ValueError(
            "The objective inside must give logits in its outcome. Received "
            "none. Pass WorstCase, TRADES or another one that does."
        )
    return tf.stop_gradient(tf.cast(found[0], tf.float32))
