"""What every training objective shares."""

import abc
from typing import Any, NamedTuple

from tfrobust import checks, losses
from tfrobust.adversary import Adversary, targeted
from tfrobust.configurable import Configurable


class Outcome(NamedTuple):
    """What one training forward gives.

    Attributes:
        losses: Per-example losses, shape `[batch]`.
        clean: Logits at x, `[batch, classes]`, or None if not computed.
        worst: The adversary's logits, or None if there is no adversary.
    """

    losses: Any
    clean: Any = None
    worst: Any = None


class Objective(Configurable, abc.ABC):
    """How the worst case is used to learn: per-example training losses.

    Arguments that are schedules take their value at the training step.
    `loss` is the Keras loss that `RobustModel.compile` binds.

    Call arguments:
        model: The network, `model(x, training) -> logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`, float32.
        y: Labels, shape `[batch]`.
        step: The optimizer's step, a scalar integer.

    Returns:
        Per-example losses, shape `[batch]`.
    """

    loss: Any = losses.CrossEntropy()

    def __call__(self, model, x, y, step=0):
        now = self.at(step)
        return now.outcome(model, x, y, now.search(model, x, y)).losses

    def search(self, model, x, y):
        """Does the work that no gradient flows through; see `outcome`."""
        return x

    @abc.abstractmethod
    def outcome(self, model, x, y, found):
        """Returns the `Outcome`, from what `search` found."""

    def bind(self, loss):
        """Returns a copy that applies `loss`, also in objectives inside."""
        inner = {
            name: value.bind(loss)
            for name, value in vars(self).items()
            if isinstance(value, Objective)
        }
        return self._replace(loss=loss, **inner)

    def adversaries(self):
        """Returns the adversaries it trains against, those inside included."""
        found = []
        for value in vars(self).values():
            if isinstance(value, Adversary):
                found.append(value)
            elif isinstance(value, Objective):
                found += value.adversaries()
        return found


def check_adversary(adversary, expected, name):
    """Refuses what an objective can't train against."""
    checks.kind(adversary, expected, name, "tfr.attacks.PGD(threat)")
    if targeted(adversary):
        raise ValueError(
            f"`{name}` must not be targeted: towards the true class it would "
            f"help the network. Received: {name}={adversary!r}. Pass "
            "targeted=False."
        )
