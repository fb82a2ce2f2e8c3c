"""ATAS."""

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
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat

_NORM = "gradient_norm"


@register
class ATAS(Continued):
    """Fast adversarial training with adaptive step sizes.

    As ATTA with one step, whose size is `scale / (1 + sqrt(v) / c)` epsilon,
    within `[low, high]`. v is the moving average of the squared norm of the
    instance's gradient: hard instances, of large gradients, take small steps.
    Two forward and two backward passes.

    Args:
        attack: An `FGSM`, of which the threat counts, or a `Threat`.
        augmentation: As in `ATTA`.
        reset: Visits after which an instance starts anew; None for never.
        warmup: Visits of an instance whose step is one epsilon.
        beta: Decay of the average.
        c: Gradient norm at which the step is half of `scale`. The paper's
            0.01 is of the mean loss of 128 examples, here it is of each.
        scale: Largest step, in units of epsilon.
        low: Smallest step.
        high: Limit of the step.
        seed: Integer that keys the random starts.

    Raises:
        TypeError: If `attack` is no FGSM.
        ValueError: If a number is out of its range.

    Example:
        `ATAS(tfr.threats.Linf(8 / 255), tfr.instances.CropFlip(4))`

    Reference: Huang et al., 2022, arXiv 2206.02417, algorithm 1; step sizes
    of 4 to 14 / 255 at epsilon 8 / 255.
    """

    reports = ("step_size",)

    of_classes = True

    def __init__(
        self,
        attack: FGSM | Threat,
        augmentation: Augmentation | None = None,
        reset: int | None = 10,
        warmup: int = 5,
        beta: float = 0.5,
        c: float = 1.28,
        scale: float = 2.0,
        low: float = 0.5,
        high: float = 1.75,
        seed: int = 0,
    ):
        self.attack: Any = attack_of(attack, FGSM, FGSM)
        checks.count(warmup, "warmup", least=0)
        checks.number(beta, "beta", 0, 1)
        for name, value in {"c": c, "scale": scale, "low": low}.items():
            checks.positive(value, name)
        checks.number(high, "high", low)
        self.warmup, self.beta, self.c = warmup, beta, c
        self.scale, self.low, self.high = scale, low, high
        self._set(augmentation, reset, seed)

    def _slots(self, shape, classes):
        return {**super()._slots(shape, classes), _NORM: Slot()}

    def _ascend(self, model, seen, y, start):
        *_, gradient = input_gradient(
            model, start, lambda logits: losses.cross_entropy(y, logits)
        )
        square = tf.reduce_sum(flat(gradient) ** 2, axis=1)
        norm = self.beta * self.rows[_NORM] + (1 - self.beta) * square
        size = self.scale / (1 + tf.sqrt(norm) / self.c)
        size = tf.clip_by_value(size, self.low, self.high)
        size = tf.where(self.rows["visits"] < self.warmup, 1.0, size)
        threat = self.attack.threat
        moved = threat.ascend(seen, start, gradient, column(size, seen))
        point = threat.project(seen, moved)
        return point, point, {_NORM: norm}, {"step_size": size}
