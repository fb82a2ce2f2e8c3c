"""How accurate a model is on corrupted images."""

import dataclasses
import json
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.types import Path


@dataclasses.dataclass(frozen=True)
class CorruptionReport:
    """Accuracies on corrupted images, by corruption and severity.

    The corruptions are tfrobust's own, and so are their severities: compare
    its figures with each other, not with those of CIFAR-10-C or ImageNet-C.

    Attributes:
        clean_accuracy: On the images as they are.
        corruption_accuracy: By name, one for each of the severities.
        severities: The severities.
        examples: How many images there were.
        seed: What keyed the noise.
    """

    clean_accuracy: float
    corruption_accuracy: dict[str, list[float]]
    severities: list[int]
    examples: int
    seed: int

    @property
    def mean_corruption_accuracy(self) -> float:
        """The mean over all corruptions and severities."""
        return float(np.mean([*self.corruption_accuracy.values()]))

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        mean = self.mean_corruption_accuracy
        return {
            "corruptions": "tfrobust",
            **dataclasses.asdict(self),
            "mean_corruption_accuracy": mean,
        }

    def save(self, path: Path) -> None:
        """Writes a JSON file, whole or not at all; one there is replaced."""
        with files.new_file(path) as file:
            file.write_text(json.dumps(self.to_json(), indent=1))

    def __str__(self) -> str:
        width = max(map(len, ["corruption", *self.corruption_accuracy]))
        heads = [f"{severity:>7}" for severity in self.severities]
        lines = [f"{'corruption':{width}}{''.join(heads)}   mean"]
        for name, row in self.corruption_accuracy.items():
            cells = "".join(f"{value:7.1%}" for value in [*row, np.mean(row)])
            lines.append(f"{name:{width}}{cells}")
        lines += [
            f"clean accuracy {self.clean_accuracy:.1%}, mean corruption "
            f"accuracy {self.mean_corruption_accuracy:.1%}, "
            f"{self.examples} images, severities of tfrobust's own"
        ]
        return "\n".join(lines)

    __repr__ = __str__
