"""The report of an evaluation: numbers, verdicts, and whether to trust them."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from tfrobust import files
from tfrobust.evaluation import markdown, page
from tfrobust.evaluation import record as record_of_reports
from tfrobust.evaluation.contradictions import contradiction
from tfrobust.evaluation.diagnostics import Check
from tfrobust.evaluation.row import Row


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
        classes: How often each class is a label, and is the answer to clean
            inputs.
    """

    rows: list[Row]
    curves: dict[str, Any]
    checks: list[Any]
    images: dict[str, Any]
    info: dict[str, Any]
    certificates: dict[str, Any] = dataclasses.field(default_factory=dict)
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> Row:
        """The `Row` of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(
            f"No row is named {name!r}. There are: "
            f"{[row.name for row in self.rows]}"
        )

    @property
    def reliable(self) -> bool:
        """Whether no critical diagnostic failed."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why the report is unreliable: one sentence a failed check."""
        return [
            f"{check.name}: {check.detail}"
            for check in self.checks
            if check.critical and not check.passed
        ]

    @property
    def recommendations(self) -> list[str]:
        """What stronger attack to run where the ones that ran were weak."""
        return [
            f"{check.name}: {check.detail}"
            for check in self.checks
            if check.state == "weak"
        ]

    @property
    def verdict(self) -> str:
        """How far to believe the numbers, in a sentence and its reasons."""
        if not self.reliable:
            return "UNRELIABLE: " + " ".join(self.reasons)
        if self.recommendations:
            return "TOO WEAK AN ATTACK: " + " ".join(self.recommendations)
        return "No diagnostic found a reason to distrust these numbers."

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it: RobustBench's keys, then ours."""
        clean, worst = self["clean"], self["worst case"]
        standard = [row for row in self.rows if row.standard]
        told = [c.detail for c in self.checks if c.state in ("note", "weak")]
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
            "autoattack_acc": f"{100 * standard[0].accuracy:.2f}"
            if len(standard) == 1
            else None,
            "unreliable": not self.reliable,
            "footnote": " ".join(told) or None,
            "reasons": self.reasons,
            "recommendations": self.recommendations,
            "rows": [row.to_dict() for row in self.rows],
            "curves": self.curves,
            "checks": [check._asdict() for check in self.checks],
            "info": self.info,
            "certificates": self.certificates,
            "classes": self.classes,
            "verdicts": {
                row.name: row.correct.astype(int).tolist() for row in self.rows
            },
        }

    def to_markdown(self) -> str:
        """The table, the verdict and the diagnostics as Markdown."""
        table = [list(self.rows[0].cells())]
        for row in self.rows:
            name, *cells = row.cells().values()
            inner = row.ensemble is not None
            # No-break spaces: Markdown drops others.
            table.append(["\u00a0\u00a0" * inner + name, *cells])
        lines = markdown.table(table)
        if any(row.ensemble for row in self.rows):
            lines += ["", page.COMPONENTS]
        lines += ["", markdown.plain(self.verdict), ""]
        lines += markdown.bullets(
            f"{c.state}: {c.name}. {c.detail}" for c in self.checks
        )
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.to_markdown()

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> None:
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

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Report":
        """Reads what `save` wrote, but for the pictures.

        Args:
            folder: The folder.

        Raises:
            FileNotFoundError: If the folder holds no report.json.
            ValueError: If its report.json isn't one that `save` wrote.
        """
        path = pathlib.Path(folder, "report.json")
        if not path.exists():
            raise FileNotFoundError(
                "`folder` must be one that `Report.save` wrote. Received: "
                f"{folder}, where there is no report.json."
            )
        try:
            text = path.read_text()
            return cls.from_dict(json.loads(text, parse_constant=_refuse))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "`folder` must be one that `Report.save` wrote. Received: "
                f"{folder}, whose report.json is damaged or of another version "
                f"({type(error).__name__}: {error}). Evaluate again."
            ) from error

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Report":
        """The report of what `to_dict` returned, without its pictures.

        Raises:
            KeyError: If something is missing.
            ValueError: If it isn't what `to_dict` returns.
        """
        record_of_reports.check(record)
        report = cls(
            [
                Row.from_dict(row, record["verdicts"][row["name"]])
                for row in record["rows"]
            ],
            record["curves"],
            [Check(**check) for check in record["checks"]],
            {},
            record["info"],
            record["certificates"],
            record["classes"],
        )
        said = report.to_dict()
        for key in said.keys() | record.keys():
            if key not in said or said[key] != record[key]:
                raise ValueError(
                    f"what it says of {key!r} contradicts the rest"
                )
        if part := contradiction(report):
            raise ValueError(f"what it says of {part} contradicts the rest")
        return report


def _refuse(constant):
    raise ValueError(f"{constant} is no number")
