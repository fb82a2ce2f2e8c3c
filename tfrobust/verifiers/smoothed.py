"""What randomized smoothing found."""

import dataclasses
import os
import statistics
from typing import Any

import numpy as np

from tfrobust import checks, files
from tfrobust.verifiers.binomial import lower_bound

ABSTAINED = -1
_quantile = statistics.NormalDist().inv_cdf


@dataclasses.dataclass(eq=False, repr=False)
class Smoothed:
    """Certificates of a smoothed model, each of which may be wrong by chance.

    Attributes:
        prediction: The class that it answers, int32 `[n]`; -1 where it
            abstains.
        radius: l2 radius within which it answers the same, `[n]`; 0 where it
            abstains.
        y: Labels, int32 `[n]`.
        index: Number of each example, which keyed its noise, int64 `[n]`.
        chosen: The class that the first draws chose, int32 `[n]`.
        counts: How many of the later draws had that class, int64 `[n]`.
        draws: Of how many.
        looks: How often radii were read off the counts.
        first: What the first look spends of the certainty, and each look half
            of what the one before it did.
        sigma: Standard deviation of the noise.
    """

    prediction: np.ndarray
    radius: np.ndarray
    y: np.ndarray
    index: np.ndarray
    chosen: np.ndarray
    counts: np.ndarray
    draws: int
    looks: int
    first: float
    sigma: float

    @classmethod
    def of(cls, **counted: Any) -> "Smoothed":
        """What follows from counts: all attributes but the first two."""
        level = counted["first"] * 0.5 ** (counted["looks"] - 1)
        chosen, counts = counted["chosen"], counted["counts"]
        radius = _radii(counts, counted["draws"], level, counted["sigma"])
        prediction = np.where(radius > 0, chosen, ABSTAINED).astype(np.int32)
        return cls(prediction, radius, **counted)

    @property
    def alpha(self) -> float:
        """Each radius holds with probability `1 - alpha`."""
        return self.first * (2 - 0.5 ** (self.looks - 1))

    @property
    def reach(self) -> float:
        """The largest radius that so many draws can show."""
        level = self.first * 0.5 ** (self.looks - 1)
        most = np.array([self.draws])
        return float(_radii(most, self.draws, level, self.sigma)[0])

    def certified(self, epsilon: float) -> np.ndarray:
        """Whether the label is the answer within this radius, bool `[n]`.

        Args:
            epsilon: l2 radius.

        Raises:
            ValueError: If no example can have such a radius.
        """
        checks.number(epsilon, "epsilon", low=0.0)
        fits = epsilon <= self.reach
        expected = (
            f"be at most {self.reach:.4g}, which is all that {self.draws} "
            f"draws of sigma={self.sigma:g} can show; take more or a larger "
            "sigma"
        )
        checks.argument(fits, "epsilon", expected, epsilon)
        return (self.prediction == self.y) & (self.radius >= epsilon)

    def accuracy(self, epsilon: float) -> float:
        """Certified accuracy: abstaining is wrong."""
        return float(np.mean(self.certified(epsilon)))

    def save(self, path: str | os.PathLike) -> None:
        """Writes a new .npz file, whole or not at all; `load` reads it.

        Raises:
            FileExistsError: If there is a file.
            ValueError: If the name doesn't end in .npz.
        """
        files.save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Smoothed":
        """Reads what `save` wrote."""
        with np.load(path) as file:
            parts = {name: file[name] for name in file.files}
        return cls(**{k: v if v.ndim else v.item() for k, v in parts.items()})

    def __str__(self) -> str:
        count = len(self.y)
        together = max(0.0, 1 - count * self.alpha)
        lines = [
            f"smoothed with sigma={self.sigma:g}, {self.draws} draws, "
            f"{count} examples",
            f"accuracy {np.mean(self.prediction == self.y):.1%}, abstained "
            f"{np.mean(self.prediction == ABSTAINED):.1%}",
        ]
        for epsilon in self.sigma * np.arange(0.5, 4, 0.5):
            if epsilon <= self.reach:
                lines.append(
                    f"certified within l2 {epsilon:.3g}: "
                    f"{self.accuracy(epsilon):.1%}"
                )
        lines.append(
            f"each certificate holds with probability {1 - self.alpha:g} or "
            f"more, all of them together with {together:.4g} or more"
        )
        return "\n".join(lines)


def _radii(counts, draws, alpha, sigma):
    """The radius of each count; 0 of those that show no majority."""
    share = np.maximum(lower_bound(counts, draws, alpha), 0.5)
    # Rounded down by more than the quantile is off.
    return sigma * np.array([_quantile(p) * (1 - 1e-9) for p in share])
