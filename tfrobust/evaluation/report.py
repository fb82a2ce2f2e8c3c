"""The report of an evaluation: numbers, verdicts, and whether to trust them."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from tfrobust import files
from tfrobust.evaluation import (
    contents,
    document,
    page,
    summary,
    written,
)
from tfrobust.evaluation import record as record_of_reports
from tfrobust.evaluation.contradictions import contradiction
from tfrobust.evaluation.diagnostics import Check
from tfrobust.evaluation.row import Row


@dataclasses.dataclass(repr=False)
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
        answers: The label of every example, and the class that was answered
            to the points of each row; empty in older reports.
    """

    rows: list[Row]
    curves: dict[str, Any]
    checks: list[Any]
    images: dict[str, Any]
    info: dict[str, Any]
    certificates: dict[str, Any] = dataclasses.field(default_factory=dict)
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)
    answers: dict[str, Any] = dataclasses.field(default_factory=dict)

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
        return written.to_dict(self)

    @property
    def robust_accuracy(self) -> float:
        """Share that withstands every attack that ran: an upper bound.

        Raises:
            ValueError: If no attack ran.
        """
        return summary.known(
            summary.robust(self),
            "`robust_accuracy` needs an attack, such as "
            "tfr.attacks.AutoAttack(threat) in tfr.evaluate",
            self.rows,
        )

    @property
    def certified_accuracy(self) -> float:
        """Share that is right and proven to stay so: a lower bound.

        Raises:
            ValueError: If no verifier ran.
        """
        return summary.known(
            summary.certified(self),
            "`certified_accuracy` needs a verifier: "
            "tfr.certify(model, data, tfr.verifiers.ladder(threat))",
            self.rows,
        )

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`, indexed by the adversary's name.

        Verdicts of single examples are in the file verdicts.csv of `save`.

        Raises:
            ImportError: If pandas is missing.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "`to_pandas` needs pandas, which isn't installed: "
                "pip install pandas."
            ) from error
        records = [row.to_dict() for row in self.rows]
        return pandas.DataFrame(records).set_index("name")

    def to_markdown(self) -> str:
        """All that the page holds, but for the pictures, as Markdown."""
        return document.render(self)

    def __repr__(self) -> str:
        return contents.in_short(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return page.fragment(self)

    def __str__(self) -> str:
        """The table, the verdict and the diagnostics, as Markdown."""
        return document.brief(self)

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes report.json, .md and .html and verdicts.csv, all or none.

        Args:
            folder: New folder to write.
            overwrite: Whether a folder that is there may be replaced.

        Raises:
            FileExistsError: If the folder exists and `overwrite` is false.
        """
        record = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        texts = {
            "report.json": record,
            "report.md": self.to_markdown(),
            "report.html": page.render(self),
            "verdicts.csv": summary.csv_of(self),
        }
        with files.new_folder(folder, overwrite) as new:
            for name, text in texts.items():
                (new / name).write_text(text, encoding="utf-8")

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
            text = path.read_text("utf-8")
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
        record = record_of_reports.modern(record)
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
            record["answers"],
        )
        said = report.to_dict()
        for key in said.keys() | record.keys():
            if key in record_of_reports.FOLLOWS and key not in record:
                continue  # An older version didn't say what follows.
            if key not in said or said[key] != record[key]:
                raise ValueError(
                    f"what it says of {key!r} contradicts the rest"
                )
        if part := contradiction(report):
            raise ValueError(f"what it says of {part} contradicts the rest")
        return report


def _refuse(constant):
    raise ValueError(f"{constant} is no number")
