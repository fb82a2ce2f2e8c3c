"""What a run of APGD knows beforehand."""

from typing import Any, NamedTuple

import numpy as np


class Course(NamedTuple):
    """What is known beforehand of each step of a run; one entry for each.

    Attributes:
        first: Whether it is the first in its ball.
        factor: The ball's radius, in units of epsilon.
        rises: Up to how many rises of the loss since the last checkpoint the
            size halves; negative if it is no checkpoint.
    """

    first: np.ndarray
    factor: np.ndarray
    rises: np.ndarray

    @classmethod
    def plan(cls, rule: Any, steps: int, rho: float, several: bool) -> "Course":
        """Plans a run.

        Args:
            rule: How it steps, `MomentumRule` or `SparseRule`.
            steps: Number of steps.
            rho: Fraction of the steps between checkpoints that must rise.
            several: Whether it begins in balls of 3 and 2 times epsilon, for
                30 % of the steps each.
        """
        early = 3 * steps // 10 if several else 0
        stages = {3.0: early, 2.0: early, 1.0: steps - 2 * early}
        rises = [np.full(length, -1, np.float32) for length in stages.values()]
        for stage in rises:
            checkpoints = rule.checkpoints(len(stage))
            stage[checkpoints] = rho * np.diff([0, *checkpoints])
        first = [np.arange(length) == 0 for length in stages.values()]
        return cls(
            first=np.concatenate(first),
            factor=np.repeat(
                np.array([*stages], np.float32), [*stages.values()]
            ),
            rises=np.concatenate(rises),
        )

    @property
    def several(self) -> bool:
        """Whether there are larger balls than the threat."""
        return self.factor[0] > 1
