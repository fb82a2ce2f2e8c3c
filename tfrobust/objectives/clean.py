"""Standard training."""

from typing import Any

from tfrobust import losses
from tfrobust.backend import register
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Model, TensorLike


@register
class Clean(Objective):
    """Standard training: the loss at the unperturbed inputs.

    Example:
        `model.compile("adam", objective=Clean())`
    """

    def __init__(self):
        pass

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        clean = model(x, training=True)
        return Outcome(losses.per_example(self.loss, y, clean), clean)
