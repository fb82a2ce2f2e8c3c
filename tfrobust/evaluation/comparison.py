"""Models side by side, by the reports on them."""

import dataclasses
import html
import json
import os
import string
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.evaluation import markdown, page, plot
from tfrobust.evaluation.report import Report
from tfrobust.evaluation.row import Row

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Models under attack</title><style>$style</style></head><body>
<h1>Models under attack</h1>$notes
<h2>Accuracy, with its 95 % interval</h2><div class="wide">$table</div>
<h2>Accuracy against epsilon</h2>
<p class="note">Of each model, under the strongest attack on it.</p>$curve
</body></html>
""")


@dataclasses.dataclass
class Comparison:
    """What `tfrobust.compare` made of several reports.

    Attributes:
        reports: Dictionary of a model's name to its `Report`.
    """

    reports: dict[str, Report]

    @property
    def notes(self) -> list[str]:
        """Why accuracies must not be ranked as they are, in sentences."""
        found = []
        for what in ("dataset", "data", "examples", "threat"):
            found += _unlike(
                what,
                {n: _settings(r)[what] for n, r in self.reports.items()},
                {n: _identities(r)[what] for n, r in self.reports.items()},
            )
        for adversary in self._adversaries():
            rows = {
                name: _rows(report)[adversary]
                for name, report in self.reports.items()
                if adversary in _rows(report)
            }
            found += _unlike(
                f"configuration of {adversary}",
                {name: row.adversary for name, row in rows.items()},
                {name: row.identity for name, row in rows.items()},
            )
        found += [
            f"UNRELIABLE: {name}. {reason}"
            for name, report in self.reports.items()
            for reason in report.reasons
        ]
        found += [
            f"TOO WEAK AN ATTACK: {name}. {reason}"
            for name, report in self.reports.items()
            for reason in report.recommendations
        ]
        return found

    def cells(self) -> dict[str, dict[str, str]]:
        """The table as texts: for each model, a dictionary by column."""
        return {name: self._cells(name) for name in self.reports}

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON holds it."""
        return {
            "notes": self.notes,
            "models": {
                name: {
                    **_settings(report),
                    "reliable": report.reliable,
                    "accuracies": {
                        column: {
                            "accuracy": row.accuracy,
                            "interval_95": list(row.interval),
                        }
                        for column, row in _columns(report).items()
                    },
                    "curve": _strongest(report),
                }
                for name, report in self.reports.items()
            },
        }

    def to_markdown(self) -> str:
        """The table and the notes as Markdown."""
        cells = list(self.cells().values())
        lines = markdown.table([list(cells[0]), *(r.values() for r in cells)])
        if self.notes:
            lines += ["", *markdown.bullets(self.notes)]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The table, the notes and the curves as a page."""
        curves = {
            name: curve
            for name, report in self.reports.items()
            if (curve := _strongest(report))
        }
        items = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return PAGE.substitute(
            style=page.STYLE,
            notes=f'<div class="verdict bad"><ul>{items}</ul></div>'
            if items
            else "",
            table=_table(self.cells()),
            curve=plot.draw(curves),
        )

    def __str__(self):
        return self.to_markdown()

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes compare.json, compare.md and compare.html, all or none.

        Args:
            folder: New folder to write.
            overwrite: Whether a folder that is there may be replaced.

        Raises:
            FileExistsError: If the folder exists and `overwrite` is false.
        """
        with files.new_folder(folder, overwrite) as new:
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
            (new / "compare.json").write_text(text)
            (new / "compare.md").write_text(self.to_markdown())
            (new / "compare.html").write_text(self.to_html())

    def _adversaries(self):
        """The names of all adversaries, each once, in order."""
        found = {n: None for r in self.reports.values() for n in _rows(r)}
        return [name for name in found if name not in ("clean", "worst case")]

    def _cells(self, name):
        report = self.reports[name]
        held = _columns(report)
        certified = any(r.certificates for r in self.reports.values())
        columns = ["clean", *self._adversaries(), "worst case"]
        columns += ["certified"] * certified
        texts = {column: _text(held.get(column)) for column in columns}
        settings = {k: str(v) for k, v in _settings(report).items()}
        reliable = "yes" if report.reliable else "NO"
        return {"model": name, **settings, **texts, "reliable": reliable}


def _rows(report):
    """The rows by name, but for those of an ensemble's components."""
    rows = report.rows
    return {row.name: row for row in rows if row.ensemble is None}


def _columns(report):
    """The rows by name, with what is certified apart from the worst case."""
    rows = _rows(report)
    if report.certificates:
        rows["certified"] = rows["worst case"]
        verdicts = np.array(report.certificates["verdict"])
        rows["worst case"] = Row("worst case", verdicts != "falsified")
    return rows


def _settings(report):
    """On what a model was evaluated, by column."""
    threats = {_threat(row): None for row in report.rows if row.adversary}
    return {
        "dataset": report.info["dataset"] or "unnamed",
        "data": (report.info["data_sha256"] or "unknown")[:8],
        "examples": report.info["examples"],
        "threat": ", ".join(threats),
    }


def _identities(report):
    """The same, each told from all others; None where it isn't known."""
    threats = {row.threat: None for row in report.rows if row.adversary}
    return {
        "dataset": report.info["dataset"] or "unnamed",
        "data": report.info["data_sha256"],
        "examples": report.info["examples"],
        "threat": None if None in threats else ", ".join(threats),
    }


def _unlike(what, texts, identities):
    """A note if what is not alike, or may not be, for all models."""
    held = set(identities.values())
    if len(identities) < 2 or (len(held) == 1 and None not in held):
        return []
    if len(set(texts.values())) < len(held) or held == {None}:
        texts = {
            name: f"{text} ({(identities[name] or 'not known')[:12]})"
            for name, text in texts.items()
        }
    return [f"NOT ALIKE: {what}. {_listed(texts)}"]


def _threat(row):
    return f"{row.norm or ''} {row.epsilon:.4g}".lstrip()


def _text(row):
    if row is None:
        return "not run"
    low, high = row.interval
    return f"{row.accuracy:.2%} ({low:.2%} to {high:.2%})"


def _strongest(report):
    """The lowest of the curves, or None."""
    curves = report.curves.values()
    return min(curves, key=lambda c: np.mean(c["accuracy"]), default=None)


def _listed(values):
    return "; ".join(f"{name}: {value}" for name, value in values.items())


def _table(cells):
    columns = next(iter(cells.values()))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = f"<tr>{head}</tr>"
    for row in cells.values():
        texts = "".join(f"<td>{html.escape(t)}</td>" for t in row.values())
        body += f"<tr>{texts}</tr>"
    return f"<table>{body}</table>"
