"""GradAlign."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import FGSM
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.threats.rows import cosine, flat
from tfrobust.types import Amount, Model, TensorLike


@register
class GradAlign(Objective):
    """Adversarial training that keeps input gradients alike within the threat.

    `loss(worst) + weight * (1 - cos(g(x), g(random point)))`, where g is the
    gradient of the cross entropy by the input, in inference mode. The weights
    are trained through the random point's. With one step of attack it takes
    four forward passes, and backward passes of three gradients of the input,
    of the weights, and of one gradient of the input by the weights.

    Args:
        attack: An `Attack`, or a `Threat` for FGSM of 1.25 epsilon.
        weight: Weight of the regularization, not negative, or a schedule of
            it; the paper's for CIFAR-10 at epsilon 8 / 255.
        seed: Integer that keys the random points.

    Raises:
        TypeError: If `attack` isn't an attack.
        ValueError: If `weight` is negative, or the attack targeted.

    Example:
        `model.compile("sgd", objective=GradAlign(FGSM(linf)))`

    Reference: Andriushchenko and Flammarion, 2020, arXiv 2007.02617,
    equation 5.
    """

    reports = ("cosine",)

    of_classes = True

    def __init__(
        self, attack: Attack | Threat, weight: Amount = 0.2, seed: int = 0
    ):
        self.attack: Any = attack_of(attack, lambda t: FGSM(t, step_size=1.25))
        example = "tfr.threats.Linf(8 / 255)"
        checks.kind(self.attack.threat, Threat, "attack.threat", example)
        checks.amount(weight, "weight", low=0)
        self.weight, self.seed = weight, seed

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        x = self.attack.threat.checked(x)
        *_, gradient = input_gradient(
            model, x, lambda logits: losses.cross_entropy(y, logits)
        )
        seed = streams.fold(self.seed, self.step)
        random = self.attack.threat.sample(x, seed)
        return self.attack.perturb(model, x, y), gradient, random

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        point, gradient, random = found
        with tf.GradientTape() as tape:
            tape.watch(random)
            logits = model(random, training=False)
            # The cosine knows no scale, and float16 layers no small numbers.
            total = 256.0 * tf.reduce_sum(losses.cross_entropy(y, logits))
        aligned = cosine(flat(gradient), flat(tape.gradient(total, random)))
        worst = self.attack.logits(model, point, y, training=True)
        values = losses.per_example(self.loss, y, worst)
        values += self.weight * (1 - aligned)
        reported = {"cosine": aligned}
        return Outcome(values, worst=self.by_name(worst), reported=reported)
