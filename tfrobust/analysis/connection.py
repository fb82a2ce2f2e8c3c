"""A curve that connects two sets of weights, and the loss along it."""

import dataclasses

import numpy as np

from tfrobust import pictures
from tfrobust.analysis.chain import Chain
from tfrobust.types import Path


@dataclasses.dataclass(frozen=True)
class Connection:
    """What lies between two sets of weights.

    Args:
        t: Where the curve was measured, from 0 to 1, shape `[points]`.
        clean_loss: Mean losses at the data, shape `[points]`.
        clean_accuracy: Shares that are classified right; None if the loss
            compares no classes.
        attacked_loss: Mean losses at what the attack found at each t; None
            without an attack.
        attacked_accuracy: Shares that are right there; None likewise.
        history: Mean training loss of each epoch.
        chain: The control points.
    """

    t: np.ndarray
    clean_loss: np.ndarray
    clean_accuracy: np.ndarray | None
    attacked_loss: np.ndarray | None
    attacked_accuracy: np.ndarray | None
    history: np.ndarray
    chain: Chain

    @property
    def loss(self) -> np.ndarray:
        """The attacked loss, or the clean one without an attack."""
        if self.attacked_loss is None:
            return self.clean_loss
        return self.attacked_loss

    @property
    def barrier(self) -> float:
        """The largest loss on the curve above the larger one of the ends."""
        loss = self.loss
        return float(loss.max() - max(loss[0], loss[-1]))

    def at(self, t: float) -> list[np.ndarray]:
        """The trainable weights at t in [0, 1], in their order."""
        return self.chain.at(t)

    def to_dict(self) -> dict:
        """All but the weights, as what JSON can hold."""
        found = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
            if name != "chain"
        }
        return {**found, "barrier": self.barrier}

    def plot(self, path: Path) -> None:
        """Writes a picture of losses and accuracies over t.

        Args:
            path: File to write, such as `"connection.svg"`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        figure = pictures.figure(7.2)
        losses, accuracies = figure.subplots(1, 2)
        for name in ("clean", "attacked"):
            for panel, what in ((losses, "loss"), (accuracies, "accuracy")):
                values = getattr(self, f"{name}_{what}")
                if values is not None:
                    panel.plot(self.t, values, label=name)
        for panel, what in ((losses, "loss"), (accuracies, "accuracy")):
            panel.set(xlabel="t", ylabel=what)
        accuracies.set(ylim=(0, 1))
        losses.legend()
        pictures.save(figure, path)
