"""What an evaluation found where a loss is what counts."""

import dataclasses
import json
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.evaluation import markdown
from tfrobust.types import Path

# Standard errors to either side of a mean that hold 95 % of the normal law.
_ERRORS = 1.96


class LossRow:
    """The losses under one adversary.

    Attributes:
        losses: Of each example, `[n]`, infinite where outputs aren't finite.
        loss: Their mean.
        interval: The mean, 1.96 standard errors less and more.
    """

    def __init__(self, losses: np.ndarray):
        self.losses = np.asarray(losses, np.float64)
        self.loss = float(np.mean(self.losses))
        spread = np.std(self.losses) if np.isfinite(self.loss) else np.inf
        error = _ERRORS * float(spread) / len(self.losses) ** 0.5
        self.interval = self.loss - error, self.loss + error


@dataclasses.dataclass
class LossReport:
    """What `evaluate` and `certify` say of regressions and several labels.

    `report["pgd"].loss` is a mean loss and `report["pgd"].interval` its 95 %
    interval. Print it for a table, or `save` it.

    Attributes:
        rows: `LossRow` of each adversary by its name: `clean` first, then the
            attacks, the `worst case`, which is the largest of these, and of
            `certify` the `bound` that no point of the threat exceeds, but for
            the rounding of the loss, if that is one that can be bounded.
        info: The model, the data, versions and adversaries.
        lower: Lower ends of the outputs over the threat, `[n, outputs]`, of
            `certify`; else None.
        upper: Upper ends.
        certified: Of several labels, whether each is told right at every point
            of the threat, `[n, labels]`; else None.
    """

    rows: dict[str, LossRow]
    info: dict[str, Any]
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    certified: np.ndarray | None = None

    def __getitem__(self, name: str) -> LossRow:
        return self.rows[name]

    def __str__(self) -> str:
        table = [["adversary", "loss", "95 % interval"]]
        for name, row in self.rows.items():
            low, high = row.interval
            table.append([name, f"{row.loss:.4g}", f"{low:.4g} to {high:.4g}"])
        lines = markdown.table(table)
        if self.lower is not None and self.upper is not None:
            width = np.mean(self.upper - self.lower)
            lines += ["", f"Outputs range over {width:.4g} in the mean."]
        if self.certified is not None:
            each = np.mean(self.certified)
            whole = np.mean(np.all(self.certified, axis=1))
            lines.append(
                f"Certified: {each:.1%} of all labels, {whole:.1%} of the "
                "examples with all of theirs."
            )
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Writes everything as JSON; a number that isn't finite is null."""
        held = {
            "info": self.info,
            "losses": {n: _listed(r.losses) for n, r in self.rows.items()},
            "lower": _listed(self.lower),
            "upper": _listed(self.upper),
            "certified": _listed(self.certified),
        }
        with files.new_file(path) as new:
            new.write_text(json.dumps(held, indent=1, allow_nan=False))


def _listed(values):
    if values is None:
        return None
    found = np.asarray(values)
    if found.dtype.kind == "f":
        known = np.isfinite(found)
        found = found.astype(object)
        found[~known] = None
    return found.tolist()
