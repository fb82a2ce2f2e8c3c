"""Training against the worst case."""

from typing import Any

from tfrobust import checks, losses
from tfrobust.adversary import Adversary
from tfrobust.backend import register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike


@register
class WorstCase(Objective):
    """The loss at the adversary's logits, mixed with the clean loss.

    `(1 - mix) * loss(clean) + mix * loss(worst)`. With an attack it is
    adversarial training, with a verifier certified training. A verifier reads
    batch normalisation in inference mode, so a network that has any needs
    `BatchStatistics` around this, or a `mix` below 1: only the clean loss then
    moves its statistics.

    Args:
        adversary: Gives the worst logits, an `Adversary`.
        mix: Weight of the worst case in [0, 1], or a schedule of it. At the
            number 1 the clean loss is not computed.

    Raises:
        TypeError: If `adversary` is none.
        ValueError: If `mix` is a number outside [0, 1], or it is a targeted
            attack.

    Example:
        `model.compile("adam", objective=WorstCase(pgd))`

    Reference: Madry et al., 2018, arXiv 1706.06083, equation 2.1; the
    mixture: Goodfellow et al., 2015, arXiv 1412.6572, section 6.
    """

    def __init__(self, adversary: Adversary, mix: Amount = 1.0):
        check_adversary(adversary, Adversary, "adversary")
        checks.amount(mix, "mix", low=0, high=1)
        self.adversary, self.mix = adversary, mix

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return self.adversary.perturb(model, x, y)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        worst = self.adversary.logits(model, found, y, training=True)
        worst_loss = losses.per_example(self.loss, y, worst)
        named = self.by_name(worst)
        return self.beside_clean(model, x, y, worst_loss, named, self.mix)
