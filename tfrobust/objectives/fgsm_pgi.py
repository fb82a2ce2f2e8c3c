"""FGSM with a prior-guided initialisation."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attacks import FGSM
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.instances.augmentation import Augmentation
from tfrobust.instances.slot import Slot
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.continued import Continued
from tfrobust.objectives.objective import Outcome
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat
from tfrobust.types import Model, TensorLike

_MOMENTUM = "momentum"


@register
class FGSMPGI(Continued):
    """FGSM that starts where momentum over the epochs leads (FGSM-MEP).

    `loss(worst) + weight * mean((logits at worst - logits at start) ** 2)`,
    with smoothed labels in the attack and in the loss. The next visit starts
    a step further along the sign of the momentum, not at the worst point.
    Three forward and three backward passes.

    Args:
        attack: An `FGSM`, or a `Threat` for steps of one epsilon.
        augmentation: As in `ATTA`.
        reset: Visits after which an instance starts anew; None for never.
        decay: Of the momentum of gradients, each divided by its l1 norm.
        weight: Weight of the squared differences of the logits.
        smoothing: Share of the label that goes to the other classes alike;
            the paper's factor of 0.6 is a share of 0.4.
        seed: Integer that keys the random starts.

    Raises:
        TypeError: If `attack` is no FGSM.
        ValueError: If a number is out of its range.

    Example:
        `model.compile("sgd", objective=FGSMPGI(linf))`

    Reference: Jia et al., 2022, Prior-guided adversarial initialization for
    fast adversarial training, ECCV, equations 6 to 9.
    """

    of_classes = True

    def __init__(
        self,
        attack: FGSM | Threat,
        augmentation: Augmentation | None = None,
        reset: int | None = 40,
        decay: float = 0.3,
        weight: float = 10.0,
        smoothing: float = 0.4,
        seed: int = 0,
    ):
        self.attack: Any = attack_of(attack, FGSM, FGSM)
        checks.number(decay, "decay", 0, 1)
        checks.number(weight, "weight", 0)
        checks.number(smoothing, "smoothing", 0, 1)
        self.decay, self.weight, self.smoothing = decay, weight, smoothing
        self._set(augmentation, reset, seed)

    def _slots(self, shape, classes):
        canvas = self.augmentation.canvas(shape)
        return {**super()._slots(shape, classes), _MOMENTUM: Slot(canvas)}

    def _ascend(self, model, seen, y, start):
        *_, gradient = input_gradient(
            model, start, lambda logits: self._smooth(y, logits)
        )
        threat, size = self.attack.threat, self.attack.step_size
        norm = tf.reduce_sum(tf.abs(flat(gradient)), axis=1)
        unit = tf.math.divide_no_nan(gradient, column(norm, gradient))
        old = tf.where(
            column(self._fresh(), seen), 0.0, self._window(_MOMENTUM)
        )
        momentum = unit + self.decay * old
        along = threat.ascend(seen, start, momentum, size)
        point = threat.project(seen, threat.ascend(seen, start, unit, size))
        rows = {_MOMENTUM: self._on_canvas(_MOMENTUM, momentum)}
        return point, threat.project(seen, along), rows, {}

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        worst = self.attack.logits(model, found.point, y, training=True)
        begin = self.attack.logits(model, found.start, y, training=True)
        smooth = tf.reduce_mean((worst - begin) ** 2, axis=1)
        values = self._smooth(y, worst) + self.weight * smooth
        return Outcome(values, None, self.by_name(worst), found.rows)

    def _smooth(self, y, logits):
        classes = logits.shape[-1]
        share = self.smoothing * classes / (classes - 1)
        return losses.cross_entropy(y, logits, share)
