"""A quadratic upper bound on the adversarial loss."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.attacks import NFGSM
from tfrobust.backend import register
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.types import Amount, Model, TensorLike


@register
class QUB(Objective):
    """A quadratic upper bound on the cross entropy at the worst point.

    With the clean logits f, the worst ones f' and the softmax p of f it is
    `ce(f) + (f' - f) @ (p - onehot) + |f' - f|**2 / 4`: the Hessian of the
    cross entropy is at most a half. It composes with any attack, to whose
    passes it adds two forward and two backward ones.

    Args:
        attack: An `Attack`, or a `Threat` for N-FGSM.
        mix: Weight of the bound in [0, 1], or a schedule of it; the rest is
            that of the cross entropy at the worst point.

    Raises:
        TypeError: If `attack` isn't an attack.
        ValueError: If `mix` is out of its range, or the attack targeted.

    Example:
        `model.compile("sgd", objective=QUB(FGSM(linf)))`

    Reference: Quadratic upper bound for boosting robustness, ICML 2025, arXiv
    2601.13645.
    """

    of_classes = True

    def __init__(self, attack: Attack | Threat, mix: Amount = 1.0):
        self.attack: Any = attack_of(attack, NFGSM)
        checks.amount(mix, "mix", low=0, high=1)
        self.mix = mix

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return self.attack.perturb(model, x, y)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        labels, clean = losses.class_labels(y, model(x, training=True))
        worst = self.attack.logits(model, found, y, training=True)
        gap = worst - clean
        error = tf.nn.softmax(clean) - tf.one_hot(labels, clean.shape[-1])
        bound = losses.cross_entropy(y, clean)
        bound += tf.reduce_sum(gap * error + gap**2 / 4, axis=1)
        at_worst = losses.cross_entropy(y, worst)
        total = self.mix * bound + (1 - self.mix) * at_worst
        return Outcome(total, clean, self.by_name(worst))
