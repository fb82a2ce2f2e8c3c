"""TRADES."""

from typing import Any

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike


@register
class TRADES(Objective):
    """Clean loss plus beta times the divergence that an attack can cause.

    The attack maximises `KL(softmax(clean) || softmax(worst))` in place of
    its own loss. Gradients flow through both sides.

    Args:
        attack: An `Attack` with a random start: at x the divergence is zero
            and so is its gradient.
        beta: Weight of the divergence, not negative, or a schedule of it.
        adversarial: Whether the loss is that of the worst point instead of
            the clean one, as in Liu et al., 2021, arXiv 2112.07324.

    Raises:
        TypeError: If `attack` isn't an attack.
        ValueError: If `beta` is negative, or the attack is targeted, starts at
            x, or can't ascend the divergence, which has no labels.

    Example:
        `model.compile("sgd", objective=TRADES(pgd, beta=6.0))`

    Reference: Zhang et al., 2019, arXiv 1901.08573, equation 5.
    """

    of_classes = True

    def __init__(
        self, attack: Attack, beta: Amount = 6.0, adversarial: bool = False
    ):
        check_adversary(attack, Attack, "attack")
        checks.amount(beta, "beta", low=0)
        labels = ("early_stop", "of_labels")
        reads = any(getattr(attack, name, False) for name in labels)
        if reads or not hasattr(attack, "loss"):
            raise ValueError(
                "`attack` must ascend any loss: the divergence has no labels. "
                f"Received: {attack!r}. Pass tfr.attacks.PGD(threat), or "
                "early_stop=False to an attack that has it."
            )
        if getattr(attack, "random_start", 1.0) == 0:
            raise ValueError(
                "`attack` must start at random: at x the divergence has no "
                f"gradient. Received: {attack!r}. Pass random_start=1.0."
            )
        self.attack, self.beta = attack, beta
        self.adversarial = adversarial

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        clean = model(x, training=False)
        return self.attack._replace(loss=losses.kl).perturb(model, x, clean)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        clean = model(x, training=True)
        worst = model(found, training=True)
        divergence = losses.kl(clean, worst)
        trained = worst if self.adversarial else clean
        total = losses.per_example(self.loss, y, trained)
        total += self.beta * divergence
        return Outcome(total, clean, self.by_name(worst))
