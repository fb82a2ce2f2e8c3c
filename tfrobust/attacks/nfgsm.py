"""N-FGSM."""

from collections.abc import Callable
from typing import Any

from tfrobust import checks, losses, streams
from tfrobust.attacks.one_step import OneStep
from tfrobust.backend import register
from tfrobust.threats import Threat


@register
class NFGSM(OneStep):
    """One step from strong noise, with no projection onto the ball.

    It is made for training: its points stay in the valid range but leave the
    ball, by up to `reach` epsilon, so it is refused where robustness is
    evaluated. One forward and one backward pass.

    Args:
        threat: The `Threat` to train against.
        step_size: Length of the step in units of epsilon.
        noise: Radius of the noise in units of epsilon.
        loss: What to ascend, as in `PGD`.
        seed: Integer that keys the noise.

    Raises:
        TypeError: If `threat` is none.
        ValueError: If a number is out of its range.

    Example:
        `tfr.objectives.WorstCase(tfr.attacks.NFGSM(tfr.threats.Linf(0.03)))`

    Reference: de Jorge et al., 2022, arXiv 2202.01181, algorithm 1.
    """

    def __init__(
        self,
        threat: Threat,
        step_size: float = 1.0,
        noise: float = 2.0,
        loss: str | Callable[..., Any] = "cross_entropy",
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        checks.number(step_size, "step_size", 0)
        checks.number(noise, "noise", 0)
        losses.get(loss)
        self.threat, self.step_size, self.noise = threat, step_size, noise
        self.loss, self.seed = loss, seed

    @property
    def reach(self) -> float:
        return self.noise + self.step_size

    def _begin(self, x, step):
        seed = streams.fold(self.seed, step)
        return self.threat.scaled(self.noise).sample(x, seed)

    def _moved(self, x, begin, gradient):
        moved = self.threat.ascend(x, begin, gradient, self.step_size)
        return self.threat.scaled(self.reach).project(x, moved)
