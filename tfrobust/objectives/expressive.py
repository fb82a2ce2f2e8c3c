"""Mixtures of an attack and a bound that reach from one to the other."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifier import Verifier

_FORMS = "mtl", "cc", "exp"


@register
class Expressive(Objective):
    """Certified training that is as strict as its weight, from 0 to 1.

    With the loss A at the point of an attack, the loss B of the worst margins
    that a verifier allows, and the weight w:

    - `"mtl"`: `w * B + (1 - w) * A` (MTL-IBP);
    - `"cc"`: the loss of the mixture `w * b + (1 - w) * a` of the margins of
      both (CC-IBP);
    - `"exp"`: `mean(B) ** w * mean(A) ** (1 - w)` over the batch (Exp-IBP).

    A small weight is enough for networks that are then verified by branch and
    bound. A verifier reads batch normalisation in inference mode, the attacked
    point moves its statistics, but for `BatchStatistics` around this.

    Args:
        attack: An `Attack`; its threat may be larger than the verifier's.
        verifier: A `Verifier`, such as `IBP`.
        weight: w in [0, 1], or a schedule of it.
        form: "mtl", "cc" or "exp".

    Raises:
        TypeError: If `attack` or `verifier` is none.
        ValueError: If the weight is outside [0, 1], or the form unknown.

    Example:
        ```
        linf = tfr.threats.Linf(tfr.schedules.SmoothRamp(0.0, 0.15, end=9000))
        attack = tfr.attacks.FGSM(linf, random_start=1.0)
        objective = Expressive(attack, tfr.verifiers.IBP(linf), 0.05)
        ```

    Reference: De Palma et al., 2024, arXiv 2305.13991, equations 5 to 7.
    """

    of_classes = True

    def __init__(
        self,
        attack: Attack,
        verifier: Verifier,
        weight: Amount,
        form: str = "mtl",
    ):
        check_adversary(attack, Attack, "attack")
        checks.kind(verifier, Verifier, "verifier", "tfr.verifiers.IBP(threat)")
        checks.amount(weight, "weight", low=0, high=1)
        checks.argument(form in _FORMS, "form", f"be one of {_FORMS}", form)
        self.attack, self.verifier = attack, verifier
        self.weight, self.form = weight, form

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return x, self.attack.perturb(model, x, y)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        x, point = found
        attacked = self.attack.logits(model, point, y, training=True)
        bounded = self.verifier.logits(model, x, y)
        worst = self.by_name(attacked, bounded)
        if self.form == "cc":
            mixed = self._mixed(_leads(y, attacked), bounded)
            return Outcome(losses.per_example(self.loss, y, mixed), worst=worst)
        a, b = (
            losses.per_example(self.loss, y, logits)
            for logits in (attacked, bounded)
        )
        if self.form == "mtl":
            return Outcome(self._mixed(a, b), worst=worst)
        a, b = (tf.maximum(self._mean(values), 1e-12) for values in (a, b))
        product = a ** (1 - self.weight) * b**self.weight
        ones = tf.ones_like(attacked[:, 0])
        return Outcome(product * ones, worst=worst)

    def _mixed(self, attacked, bounded):
        return self.weight * bounded + (1 - self.weight) * attacked

    def _mean(self, values):
        """The mean over the batch, by the weights of its examples."""
        if self.sample_weight is None:
            return tf.reduce_mean(values)
        weights = tf.cast(tf.reshape(self.sample_weight, [-1]), values.dtype)
        total = tf.reduce_sum(weights * values)
        return tf.math.divide_no_nan(total, tf.reduce_sum(weights))


def _leads(y, logits):
    """By how much each logit exceeds that of the label."""
    y, logits = losses.class_labels(y, logits)
    return logits - tf.gather(logits, y, batch_dims=1)[:, tf.newaxis]
