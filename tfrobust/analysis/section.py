"""A section of a report: what it is about, how it is found, and what was."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfrobust.attack import Attack
from tfrobust.backend import keras


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is analysed.

    Args:
        model: The network.
        x: Inputs, float32 `[batch, ...]`.
        y: Labels, int32 `[batch]`.
        attack: What finds the worst points.
        few: How many examples the Hessian and the landscape are of.
        seed: Integer that keys all that is random.
        judge: An independent network; None for none.
    """

    model: Any
    x: np.ndarray
    y: np.ndarray
    attack: Attack
    few: int
    seed: int
    judge: Any = None

    @property
    def part(self) -> tuple[np.ndarray, np.ndarray]:
        """The first few examples."""
        return self.x[: self.few], self.y[: self.few]

    @property
    def images(self) -> bool:
        """Whether inputs can be drawn."""
        shape = self.x.shape[1:]
        return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number of the inputs."""
        return float(self.x.min()), float(self.x.max())

    @property
    def classes(self) -> int:
        """The number of logits."""
        return int(self.model(self.x[:1], training=False).shape[-1])

    @property
    def features(self) -> str | None:
        """The layer that the logits are read from, if the model tells."""
        graph = getattr(self.model, "layers", None)
        if not graph or not hasattr(self.model, "outputs"):
            return None
        names = [
            layer.name
            for layer in graph[:-1]
            if not isinstance(layer, keras.layers.InputLayer)
            and hasattr(layer, "output")
        ]
        return names[-1] if names else None


class Found(NamedTuple):
    """What a section found.

    Attributes:
        values: By name a number, or numbers of the examples, `[batch]`.
        plots: By name a function that draws a picture to a path.
    """

    values: dict[str, Any]
    plots: dict[str, Callable[[pathlib.Path], None]] = {}


class Section(NamedTuple):
    """A title, how to read what is found, and how to find it."""

    title: str
    text: str
    run: Callable[[Problem], Found]
