"""The report of an evaluation: numbers, verdicts, and whether to trust them."""

import dataclasses
import json
import math
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.evaluation import page


@dataclasses.dataclass
class Row:
    """What one adversary achieved.

    Attributes:
        name: Name of the adversary; "clean" and "worst case" are ours.
        correct: Per-example verdicts: right on the clean and on the worst
            input, shape `[n]`, bool.
        adversary: Its configuration.
        order: The p of the threat's norm, or None.
        epsilon: Radius of the threat, its largest if there are several.
        largest_norm: Largest confirmed norm of a perturbation.
        inside: Whether every point is in the threat.
        finite: Whether all logits are finite numbers.
        forwards: Examples passed forward through the model.
        backwards: Examples passed backward.
        seconds: Wall clock.
    """

    name: str
    correct: np.ndarray
    adversary: str = ""
    order: float | None = None
    epsilon: float | None = None
    largest_norm: float = 0.0
    inside: bool = True
    finite: bool = True
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    @property
    def accuracy(self):
        """Share of the examples that stay right."""
        return float(self.correct.mean())

    @property
    def interval(self):
        """The 95 % Wilson score interval of the accuracy."""
        return wilson(int(self.correct.sum()), len(self.correct))

    def cells(self):
        """The row as texts, by column."""
        low, high = self.interval
        ran, moved = bool(self.forwards), bool(self.adversary)
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

    def to_dict(self):
        """Everything but the verdicts, ready for JSON."""
        record = dataclasses.asdict(self)
        del record["correct"]
        if not math.isfinite(self.largest_norm):
            record["largest_norm"] = None
        if self.order is not None and math.isinf(self.order):
            record["order"] = "inf"
        return {
            **record,
            "accuracy": self.accuracy,
            "interval_95": list(self.interval),
        }


@dataclasses.dataclass
class Report:
    """What `tfrobust.evaluate` found.

    Attributes:
        rows: A `Row` for the clean inputs, each adversary, the worst case.
        curves: For each attack, points of (epsilon, accuracy), and on how
            many examples.
        checks: The diagnostics, a list of `Check`.
        images: Examples for the strip: clean, and those of the strongest
            attack if there is one.
        info: Dataset, versions, seeds, hashes and settings.
        certificates: Verdict and smallest margin of every example, if
            verifiers gave them.
    """

    rows: list[Row]
    curves: dict[str, Any]
    checks: list[Any]
    images: dict[str, Any]
    info: dict[str, Any]
    certificates: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name):
        """The `Row` of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(
            f"No row is named {name!r}. There are: "
            f"{[row.name for row in self.rows]}"
        )

    @property
    def reliable(self):
        """Whether no critical diagnostic failed."""
        return not self.reasons

    @property
    def reasons(self):
        """Why the report is unreliable: one sentence a failed check."""
        return [
            f"{check.name}: {check.detail}"
            for check in self.checks
            if check.critical and not check.passed
        ]

    def to_dict(self):
        """The report as JSON holds it: RobustBench's keys, then ours."""
        clean, worst = self["clean"], self["worst case"]
        return {
            "link": None,
            "name": self.info["name"],
            "authors": None,
            "additional_data": None,
            "number_forward_passes": 1,
            "dataset": self.info["dataset"],
            "venue": None,
            "architecture": self.info["architecture"],
            "eps": worst.epsilon,
            "clean_acc": f"{100 * clean.accuracy:.2f}",
            "reported": f"{100 * worst.accuracy:.2f}",
            # Never filled by another attack than AutoAttack itself.
            "autoattack_acc": None,
            "unreliable": not self.reliable,
            "reasons": self.reasons,
            "rows": [row.to_dict() for row in self.rows],
            "curves": self.curves,
            "checks": [check._asdict() for check in self.checks],
            "info": self.info,
            "certificates": self.certificates,
            "verdicts": {
                row.name: row.correct.astype(int).tolist() for row in self.rows
            },
        }

    def to_markdown(self):
        """The table, the verdict and the diagnostics as Markdown."""
        columns = list(self.rows[0].cells())
        table = [columns, ["---"] * len(columns)]
        table += [list(row.cells().values()) for row in self.rows]
        lines = [f"| {' | '.join(cells)} |" for cells in table]
        lines += ["", self._verdict(), ""]
        lines += [f"- {c.state}: {c.name}. {c.detail}" for c in self.checks]
        return "\n".join(lines) + "\n"

    def __str__(self):
        return self.to_markdown()

    def save(self, folder, overwrite=False):
        """Writes report.json, report.md and report.html, all or none.

        Args:
            folder: New folder to write.
            overwrite: Whether a folder that is there may be replaced.

        Raises:
            FileExistsError: If the folder exists and `overwrite` is false.
        """
        with files.new_folder(folder, overwrite) as new:
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
            (new / "report.json").write_text(text)
            (new / "report.md").write_text(self.to_markdown())
            (new / "report.html").write_text(page.render(self))

    def _verdict(self):
        if self.reliable:
            return "No diagnostic found a reason to distrust these numbers."
        return "UNRELIABLE: " + " ".join(self.reasons)


def wilson(successes, count, z=1.959964):
    """The Wilson score interval of a binomial share.

    Reference: Wilson, 1927, Probable inference, JASA 22(158).
    """
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count)
    spread *= math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)
