"""MART."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike


@register
class MART(Objective):
    """Misclassification-aware adversarial training.

    Boosted cross entropy at the worst point, plus beta times the divergence
    from the clean prediction, weighted by how wrong that prediction is.

    Args:
        attack: An `Attack` on the cross entropy.
        beta: Weight of the divergence, not negative, or a schedule of it.

    Raises:
        TypeError: If `attack` isn't an attack.
        ValueError: If `beta` is negative, or the attack targeted.

    Example:
        `model.compile("sgd", objective=MART(pgd, beta=6.0))`

    Reference: Wang et al., 2020, Improving adversarial robustness requires
    revisiting misclassified examples, ICLR, equation 11.
    """

    of_classes = True

    def __init__(self, attack: Attack, beta: Amount = 6.0):
        check_adversary(attack, Attack, "attack")
        checks.amount(beta, "beta", low=0)
        self.attack, self.beta = attack, beta

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return self.attack.perturb(model, x, y)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        clean = model(x, training=True)
        worst = model(found, training=True)
        labels, logits = losses.class_labels(y, worst)
        true = tf.one_hot(labels, logits.shape[-1])
        wrong = tf.reduce_max(tf.nn.softmax(logits) * (1 - true), axis=-1)
        boosted = losses.per_example(self.loss, y, worst)
        boosted -= tf.math.log(1.0001 - wrong)
        confidence = tf.nn.softmax(tf.cast(clean, tf.float32))
        doubt = 1.0000001 - tf.reduce_sum(confidence * true, axis=-1)
        divergence = losses.kl(clean, worst)
        total = boosted + self.beta * divergence * doubt
        return Outcome(total, clean, self.by_name(worst))
