"""One line of a report: what one adversary achieved."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass
class Row:
    """What one adversary achieved.

    Attributes:
        name: Name of the adversary; "clean" and "worst case" are ours.
        correct: Per-example verdicts: right on the clean and on the worst
            input, shape `[n]`, bool.
        adversary: Its configuration, to be read.
        norm: What the threat is called, such as "linf", or None.
        epsilon: Radius of the threat, its largest if there are several.
        largest_norm: Largest confirmed norm of a perturbation.
        inside: Whether every point is in the threat.
        finite: Whether all logits are finite numbers.
        forwards: Examples passed forward through the model.
        backwards: Examples passed backward.
        seconds: Wall clock.
        proven: Whether a verifier says what is correct, from above.
        standard: Whether it is AutoAttack's standard ensemble.
        gradient_free: Whether it asks the model for logits alone.
        ensemble: The name of the row that it is a component of, or None.
        identity: The hash of its configuration, to be compared; None if it
            can't be told.
        threat: The hash of its threat, likewise.
    """

    name: str
    correct: np.ndarray
    adversary: str = ""
    norm: str | None = None
    epsilon: float | None = None
    largest_norm: float = 0.0
    inside: bool = True
    finite: bool = True
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    proven: bool = False
    standard: bool = False
    gradient_free: bool = False
    ensemble: str | None = None
    identity: str | None = None
    threat: str | None = None

    @property
    def accuracy(self) -> float:
        """Share of the examples that stay right."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson score interval of the accuracy."""
        return wilson(int(self.correct.sum()), len(self.correct))

    def cells(self) -> dict[str, str]:
        """The row as texts, by column."""
        low, high = self.interval
        ran, moved = bool(self.forwards), bool(self.adversary)
        # A verifier moves nothing, unless it found what is wrong.
        moved = moved and not (self.proven and self.largest_norm == 0)
        return {
            "adversary": self.name,
            "epsilon": "" if self.epsilon is None else f"{self.epsilon:.4g}",
            "accuracy": f"{self.accuracy:.2%}",
            "95 % interval": f"{low:.2%} to {high:.2%}",
            "largest norm": f"{self.largest_norm:.6g}" if moved else "",
            "forward": str(self.forwards) if ran else "",
            "backward": str(self.backwards) if ran else "",
            "seconds": f"{self.seconds:.1f}" if self.seconds else "",
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything but the verdicts, ready for JSON."""
        record = dataclasses.asdict(self)
        del record["correct"]
        if not math.isfinite(self.largest_norm):
            record["largest_norm"] = None
        return {
            **record,
            "accuracy": self.accuracy,
            "interval_95": list(self.interval),
        }

    @classmethod
    def from_dict(
        cls, record: dict[str, Any], correct: Sequence[bool]
    ) -> "Row":
        """The row of what `to_dict` returned, and of its verdicts."""
        names = [field.name for field in dataclasses.fields(cls)]
        known = {name: record[name] for name in names if name != "correct"}
        if known["largest_norm"] is None:
            known["largest_norm"] = math.nan
        return cls(correct=np.array(correct, bool), **known)


def wilson(
    successes: int, count: int, z: float = 1.959964
) -> tuple[float, float]:
    """The Wilson score interval of a binomial share.

    Reference: Wilson, 1927, Probable inference, JASA 22(158).
    """
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count)
    spread *= math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)
