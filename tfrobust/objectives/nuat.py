"""Nuclear norm adversarial training."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attacks import FGSM
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.types import Amount, Model, TensorLike


@register
class NuAT(Objective):
    """Clean loss plus the nuclear norm of what the attack does to a batch.

    `loss(clean) + weight * nuclear(worst - clean) / batch`, of the matrix of
    logits. One step ascends the same, from random signs of half an epsilon.
    Every example's loss depends on its batch. Four forward and three backward
    passes.

    Args:
        attack: An `FGSM`, of which the threat, the size of the step and the
            seed count, or a `Threat` for steps of one epsilon.
        weight: Weight of the nuclear norm, not negative, or a schedule of it:
            the paper ramps it from 0 to 4.5 over the epochs but the last ten.
        adversarial: Whether the loss is that of the worst point instead of
            the clean one, as in FastAdvL1's comparison, with a weight of 3.

    Raises:
        TypeError: If `attack` is no FGSM.
        ValueError: If `weight` is negative.

    Example:
        `model.compile("sgd", objective=NuAT(linf, weight=4.5))`

    Reference: Sriramanan et al., 2021, Towards efficient and effective
    adversarial training, NeurIPS, equation 3.
    """

    of_classes = True

    def __init__(
        self,
        attack: FGSM | Threat,
        weight: Amount = 4.5,
        adversarial: bool = False,
    ):
        self.attack: Any = attack_of(attack, FGSM, FGSM)
        checks.amount(weight, "weight", low=0)
        self.weight, self.adversarial = weight, adversarial

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        threat, size = self.attack.threat, self.attack.step_size
        x = threat.checked(x)
        clean = tf.cast(model(x, training=False), tf.float32)
        seed = streams.fold(self.attack.seed, self.step)
        # The steepest step along a random gradient: of linf, random signs.
        start = threat.ascend(x, x, streams.normal(x, seed), 0.5)
        start = threat.project(x, start)

        def ascended(logits):
            values = losses.per_example(self.loss, y, logits)
            return values + self.weight * _share(logits - clean)

        *_, gradient = input_gradient(model, start, ascended)
        return threat.project(x, threat.ascend(x, start, gradient, size))

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        clean = tf.cast(model(x, training=True), tf.float32)
        worst = self.attack.logits(model, found, y, training=True)
        trained = worst if self.adversarial else clean
        values = losses.per_example(self.loss, y, trained)
        values += self.weight * _share(worst - clean)
        return Outcome(values, clean, self.by_name(worst))


def _share(rows):
    """An example's share of the nuclear norm of a batch."""
    values = tf.linalg.svd(rows, compute_uv=False)
    return tf.reduce_sum(values) / tf.cast(tf.shape(rows)[0], rows.dtype)
