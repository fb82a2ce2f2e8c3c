"""AdAT."""

import tensorflow as tf

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.fgsm import FGSM
from tfrobust.backend import register
from tfrobust.threats import Threat
from tfrobust.threats.rows import column


@register
class AdAT(Attack):
    """FGSM with a random start, as far along its step as fools the model.

    Of x and the points at k / parts of the way, the first that is
    misclassified; the end if none is. Training so prevents catastrophic
    overfitting. `parts + 1` forward passes and one backward pass.

    Args:
        threat: The set to search, a `Threat`.
        parts: How many parts the way is cut into, at least 1.
        step_size: Of FGSM, in units of epsilon.
        seed: Integer that keys the random start.

    Raises:
        TypeError: If `threat` is none.
        ValueError: If a number is out of its range.

    Example:
        `AdAT(tfr.threats.Linf(8 / 255), parts=3).perturb(model, x, y)`

    Reference: Kim et al., 2021, arXiv 2010.01799, algorithm 2.
    """

    def __init__(
        self,
        threat: Threat,
        parts: int = 3,
        step_size: float = 1.25,
        seed: int = 0,
    ):
        checks.count(parts, "parts")
        self.threat, self.parts = threat, parts
        self.step_size, self.seed = step_size, seed
        self._whole_step()

    def _perturb(self, model, x, y, start, step):
        end = self._whole_step()._perturb(model, x, y, None, step)
        point = end
        # From the far end, so that the nearest that fools is kept.
        for k in range(self.parts - 1, -1, -1):
            at = self.threat.project(x, x + (end - x) * (k / self.parts))
            logits = tf.cast(model(at, training=False), tf.float32)
            fooled = severity.lead(y, logits) > 0
            point = tf.where(column(fooled, x), at, point)
        return point

    def _whole_step(self):
        return FGSM(
            self.threat,
            step_size=self.step_size,
            random_start=1.0,
            seed=self.seed,
        )
