"""What every training objective shares."""

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.adversary import Adversary, kind, named, targeted
from tfrobust.configurable import Configurable
from tfrobust.types import Loss, Model, TensorLike


class Outcome(NamedTuple):
    """What one training forward gives.

    Attributes:
        losses: Per-example losses, shape `[batch]`.
        clean: Logits at x, `[batch, classes]`, or None if not computed.
        worst: The logits of each adversary by its name, see `by_name`.
    """

    losses: Any
    clean: Any = None
    worst: dict[str, Any] = {}


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
    sample_weight: Any = None  # Of this batch, set by `weigh`.

    def __call__(
        self, model: Model, x: TensorLike, y: TensorLike, step: TensorLike = 0
    ) -> tf.Tensor:
        now = self.at(step)
        return now.outcome(model, x, y, now.search(model, x, y)).losses

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        """Does the work that no gradient flows through; see `outcome`."""
        return x

    @abc.abstractmethod
    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        """Returns the `Outcome`, from what `search` found."""

    def bind(self, loss: Loss) -> "Objective":
        """Returns a copy that applies `loss`, also in objectives inside."""
        return self._everywhere(loss=loss)

    def weigh(self, sample_weight: TensorLike | None) -> "Objective":
        """Returns a copy for a batch of examples that weigh differently."""
        return self._everywhere(sample_weight=sample_weight)

    def _everywhere(self, **attributes):
        inner = {
            name: value._everywhere(**attributes)
            for name, value in vars(self).items()
            if isinstance(value, Objective)
        }
        return self._replace(**attributes, **inner)

    def adversaries(self) -> dict[str, Adversary]:
        """Returns the adversaries it trains against, those inside included.

        They are named after their classes and their steps, as their metrics
        are: `pgd10`; another one of the same name is `pgd10-2`.
        """
        found = []
        for value in vars(self).values():
            if isinstance(value, Adversary):
                found.append(value)
            elif isinstance(value, Objective):
                found += value.adversaries().values()
        return named(found, kind_and_steps)

    def by_name(self, *worst: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the logits of each adversary, in the order of all, by name.

        For `Outcome.worst`.
        """
        return dict(zip(self.adversaries(), worst, strict=True))


def kind_and_steps(adversary: Adversary) -> str:
    """The name of its class, and its steps if it has any: `"pgd10"`."""
    return f"{kind(adversary)}{getattr(adversary, 'steps', '')}"


def check_adversary(adversary: Adversary, expected: type, name: str) -> None:
    """Refuses what an objective can't train against."""
    checks.kind(adversary, expected, name, "tfr.attacks.PGD(threat)")
    if targeted(adversary):
        raise ValueError(
            f"`{name}` must not be targeted: towards the true class it would "
            f"help the network. Received: {name}={adversary!r}. Pass "
            "targeted=False."
        )
