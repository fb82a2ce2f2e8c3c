"""What an attack found of each example."""

import dataclasses
import os

import numpy as np

from tfrobust import files


@dataclasses.dataclass(eq=False, repr=False)
class AdversarialSet:
    """Points that an attack found, at one epsilon or at several.

    At several, all but `y` have one more axis in front, `[epsilons]`.

    Attributes:
        x: The points, of the shape of the inputs, float32.
        y: Labels that the attack led away from, shape `[n]`.
        success: Whether the model is wrong at the point, shape `[n]`. A point
            that is wrong already stays where it is.
        distance: Norm of what was added, shape `[n]`; infinite without success.
        epsilon: The radius, or the radii from small to large.
        norm: Name of the threat: `"linf"`.
        attack: The attack, as text.
    """

    x: np.ndarray
    y: np.ndarray
    success: np.ndarray
    distance: np.ndarray
    epsilon: np.ndarray
    norm: str
    attack: str

    @property
    def success_rate(self) -> np.ndarray:
        """Share of the examples at which the model is wrong."""
        return np.mean(self.success, axis=-1)

    @property
    def median_distance(self) -> np.ndarray:
        """Median over all examples; infinite if half of them withstand."""
        # Of two in the middle the farther: no mean with infinity.
        return np.quantile(self.distance, 0.5, axis=-1, method="higher")

    def save(self, path: str | os.PathLike) -> None:
        """Writes a new .npz file of all attributes, whole or not at all.

        Args:
            path: New file; its name ends in .npz.

        Raises:
            FileExistsError: If there is a file.
            ValueError: If the name ends otherwise.
        """
        files.save_arrays(path, vars(self))

    def __repr__(self) -> str:
        lines = [
            f"{self.attack}, {len(self.y)} examples",
            "epsilon   success   median distance",
        ]
        columns = (self.epsilon, self.success_rate, self.median_distance)
        for row in zip(*map(np.atleast_1d, columns), strict=True):
            lines.append("{:<9.4g} {:7.1%}   {:.4g}".format(*row))
        return "\n".join(lines)
