"""The fast gradient method."""

from collections.abc import Callable
from typing import Any

from tfrobust.attacks.one_step import OneStep
from tfrobust.attacks.pgd import PGD
from tfrobust.backend import register
from tfrobust.threats import Threat
from tfrobust.threats.rows import column
from tfrobust.types import TensorLike


@register
class FGSM(OneStep):
    """One steepest step, the fast gradient sign method under linf.

    With `step_size=1.25, random_start=1.0` it is FGSM-RS.

    Args:
        threat: The set to search, a `Threat`.
        step_size: Length of the step as a fraction of the threat's epsilon,
            as in `PGD`.
        random_start: How far to start from x, as a fraction of the way to a
            random point of the threat.
        targeted: Whether `y` names the class to reach.
        loss: What to ascend, as in `PGD`.
        seed: Integer that keys the random start.

    Example:
        `FGSM(tfr.threats.Linf(8 / 255)).perturb(model, x, y)`

    Reference: Goodfellow et al., 2015, arXiv 1412.6572, section 4; FGSM-RS:
    Wong et al., 2020, arXiv 2001.03994, algorithm 3.
    """

    takes_start = True
    per_example = ("step_size",)

    def __init__(
        self,
        threat: Threat,
        step_size: TensorLike = 1.0,
        random_start: float = 0.0,
        targeted: bool = False,
        loss: str | Callable[..., Any] = "cross_entropy",
        seed: int = 0,
    ):
        self.threat = threat
        self.step_size, self.random_start = step_size, random_start
        self.targeted, self.loss, self.seed = targeted, loss, seed
        self._single_step()

    def _perturb(self, model, x, y, start, step):
        return self._single_step()._perturb(model, x, y, start, step)

    def _begin(self, x, step):
        return self._single_step().start_of(x, step)

    def _moved(self, x, begin, gradient):
        size = column(self.step_size, x)
        moved = self.threat.ascend(x, begin, gradient, size)
        return self.threat.project(x, moved)

    def _single_step(self):
        return PGD(**self._arguments(), steps=1, best=False)
