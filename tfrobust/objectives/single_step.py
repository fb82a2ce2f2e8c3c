"""Training on one step, which is watched."""

from typing import Any

import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import FGSM, NFGSM, FastEGL1
from tfrobust.attacks.one_step import OneStep
from tfrobust.backend import register
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.threats.rows import cosine, flat
from tfrobust.types import Model, TensorLike


@register
class SingleStep(Objective):
    """The loss after one step, and whether that step still leads uphill.

    As `WorstCase` of the attack, and it logs `pert_align`, the mean cosine of
    the input gradients before the step and after it. The second comes with the
    backward pass that trains, so it costs none. Before catastrophic
    overfitting it falls towards 0: the loss has become so curved that the
    gradient at one end of the step says nothing about the other;
    `callbacks.CatastrophicOverfitting` watches it. Two forward and two
    backward passes.

    Args:
        attack: An `FGSM`, `NFGSM` or `FastEGL1`, or a `Threat` for `NFGSM`.

    Raises:
        TypeError: If `attack` is none of these.
        ValueError: If it is targeted.

    Example:
        `SingleStep(tfr.attacks.FGSM(linf, step_size=1.25, random_start=1.0))`

    Reference: PertAlign, of SORA, 2026, arXiv 2606.00738.
    """

    reports = ("pert_align",)

    def __init__(self, attack: FGSM | NFGSM | FastEGL1 | Threat):
        if not isinstance(attack, OneStep | Threat):
            raise TypeError(
                "`attack` must be an FGSM, an NFGSM or a FastEGL1, which take "
                f"one step, or a threat. Received: attack={attack!r}"
            )
        self.attack: Any = attack_of(attack, NFGSM)

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        return self.attack.step_of(model, self.attack.threat.checked(x), y)

    def watched(self, found: Any) -> tf.Tensor | None:
        return found.point

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        worst = self.attack.logits(model, found.point, y, training=True)
        values = losses.per_example(self.loss, y, worst)
        return Outcome(values, worst=self.by_name(worst))

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        if gradient is None:  # An objective around it keeps it to itself.
            return outcome
        aligned = cosine(flat(found.gradient), flat(gradient))
        reported = {**outcome.reported, "pert_align": aligned}
        return outcome._replace(reported=reported)
