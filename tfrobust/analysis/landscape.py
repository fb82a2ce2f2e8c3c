"""The loss on a line or a plane of weights."""

import dataclasses

import numpy as np

from tfrobust import pictures
from tfrobust.types import Path


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Loss and accuracy on a grid of weights.

    Args:
        grid: How far each direction was followed: one or two arrays.
        loss: Mean losses, shape `[len(axis) for axis in grid]`.
        accuracy: Shares of examples that are classified right there, of the
            same points as the loss; None if the loss compares no classes.
    """

    grid: tuple[np.ndarray, ...]
    loss: np.ndarray
    accuracy: np.ndarray | None

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        accuracy = self.accuracy
        return {
            "grid": [axis.tolist() for axis in self.grid],
            "loss": self.loss.tolist(),
            "accuracy": None if accuracy is None else accuracy.tolist(),
        }

    def plot(self, path: Path) -> None:
        """Writes a picture: curves over a line, contours over a plane.

        Contours are at levels of the logarithm, unless a loss isn't positive.

        Args:
            path: File to write, such as `"landscape.svg"`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        figure = pictures.figure()
        panel = figure.subplots()
        if len(self.grid) == 1:
            panel.plot(self.grid[0], self.loss)
            panel.set(xlabel="distance", ylabel="loss")
            if self.accuracy is not None:
                other = panel.twinx()
                other.plot(self.grid[0], self.accuracy, "C1--")
                other.set(ylabel="accuracy", ylim=(0, 1))
        else:
            positive = np.all(self.loss > 0)
            heights = np.log10(self.loss) if positive else self.loss
            shown = panel.contourf(*self.grid, heights.T, levels=20)
            panel.set(xlabel="first direction", ylabel="second direction")
            label = "log10 of the loss" if positive else "loss"
            figure.colorbar(shown, ax=panel, label=label)
        pictures.save(figure, path)
