"""Standard training."""

from tfrobust import losses
from tfrobust.backend import register
from tfrobust.objectives.objective import Objective, Outcome


@register
class Clean(Objective):
    """Standard training: the loss at the unperturbed inputs."""

    def __init__(self):
        pass

    def outcome(self, model, x, y, found):
        clean = model(x, training=True)
        return Outcome(losses.per_example(self.loss, y, clean), clean)
