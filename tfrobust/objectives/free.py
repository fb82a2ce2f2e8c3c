"""Free adversarial training."""

from typing import Any

import tensorflow as tf

from tfrobust.attacks import FGSM
from tfrobust.backend import register
from tfrobust.instances.augmentation import Augmentation
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.continued import Continued
from tfrobust.objectives.objective import Outcome
from tfrobust.threats import Threat


@register
class Free(Continued):
    """Free adversarial training: weights and perturbation by one gradient.

    The backward pass that trains also gives the gradient of the input, along
    which the perturbation is moved for the next visit. One forward and one
    backward pass. The paper visits each batch m times in a row, and takes the
    perturbation on to the next batch; here each instance keeps its own:
    `tfr.instances.replayed(dataset, m)` gives the visits, and `fit` then
    needs a m-th of the epochs.

    Args:
        attack: An `FGSM`, whose step size moves the perturbation, or a
            `Threat` for steps of one epsilon.
        augmentation: As in `ATTA`. It moves with the step, so the visits of
            an instance see other windows of its perturbation.
        reset: Visits after which an instance starts anew; None for never.
        seed: Integer that keys the random starts.

    Raises:
        TypeError: If `attack` is no FGSM.

    Example:
        `Free(tfr.threats.Linf(8 / 255))`

    Reference: Shafahi et al., 2019, arXiv 1904.12843, algorithm 1.
    """

    def __init__(
        self,
        attack: FGSM | Threat,
        augmentation: Augmentation | None = None,
        reset: int | None = None,
        seed: int = 0,
    ):
        self.attack: Any = attack_of(attack, FGSM, FGSM)
        self._set(augmentation, reset, seed)

    def _ascend(self, model, seen, y, start):
        return start, start, {}, {}

    def watched(self, found: Any) -> tf.Tensor | None:
        return found.point

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        if gradient is None:
            raise ValueError(
                "Free moves perturbations by the gradient that trains, which "
                "the objective around it keeps to itself. Train with Free "
                "alone, or with ATTA inside."
            )
        threat, size = self.attack.threat, self.attack.step_size
        moved = threat.ascend(found.seen, found.point, gradient, size)
        point = threat.project(found.seen, moved)
        return outcome._replace(rows=self._kept(found.seen, point))
