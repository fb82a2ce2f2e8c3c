"""What follows from a report: numbers for its JSON and for its pages."""

import csv
import io
from typing import Any

import numpy as np

from tfrobust.decision import CERTIFIED, FALSIFIED, UNKNOWN
from tfrobust.evaluation.row import wilson

STEPS = 20  # Points of a curve of certified radii.


def robust(report):
    """The accuracy under all attacks that ran, or None."""
    rows = [row for row in report.rows[1:-1] if not row.proven]
    if not any(row.adversary for row in rows):
        return None
    return float(np.all([r.correct for r in [report.rows[0], *rows]], 0).mean())


def certified(report):
    """The share that is right and proven to stay right, or None."""
    if any(row.proven for row in report.rows) or report.certificates:
        return report.rows[-1].accuracy
    return None


def known(accuracy, needs, rows):
    """An accuracy, or an error that tells what it needs."""
    if accuracy is None:
        names = [row.name for row in rows]
        raise ValueError(f"{needs}. Received: a report of {names}.")
    return accuracy


def certification(report):
    """Counts, margins and stages of certificates, or None without them."""
    if not report.certificates:
        return None
    verdict = np.array(report.certificates["verdict"])
    wrong = ~report.rows[0].correct
    kinds = {
        "certified": verdict == CERTIFIED,
        "falsified by the attack or a verifier": (verdict == FALSIFIED)
        & ~wrong,
        "clean errors": (verdict == FALSIFIED) & wrong,
        "unknown": verdict == UNKNOWN,
    }
    return {
        "examples": len(verdict),
        "counts": {name: int(np.sum(which)) for name, which in kinds.items()},
        "margins": {
            name: _spread(report.certificates["margin"], which)
            for name, which in kinds.items()
        },
        "stages": _stages(report, verdict),
    }


def _spread(margins, which):
    """How many have a margin, and the least, median and largest of these."""
    chosen = [m for m, kept in zip(margins, which, strict=True) if kept]
    known = [m for m in chosen if m is not None]
    if not known:
        return {"known": 0, "least": None, "median": None, "largest": None}
    return {
        "known": len(known),
        "least": float(np.min(known)),
        "median": float(np.median(known)),
        "largest": float(np.max(known)),
    }


def _stages(report, verdict):
    """How many each stage decided, and how many it left; None if unknown."""
    if "decided_by" not in report.certificates:
        return None
    deciders = np.array(report.certificates["decided_by"], object)
    stages, left = [], len(verdict)
    for row in report.rows[:-1]:
        mine = deciders == row.name
        left -= int(np.sum(mine))
        stages.append(
            {
                "stage": row.name,
                "certified": int(np.sum(mine & (verdict == CERTIFIED))),
                "falsified": int(np.sum(mine & (verdict == FALSIFIED))),
                "left": left,
            }
        )
    return stages


def certified_curve(report):
    """Certified accuracy against the radius, as far as it is known, or None.

    What holds at a radius holds below it, so that between the radii that are
    known it is the accuracy of the next larger one: a lower bound.
    """
    proofs = [row.name for row in report.rows if row.proven]
    known = report.info.get("adversaries", {})
    stated = {known.get(name, {}).get("epsilon") for name in proofs}
    epsilon = stated.pop() if len(stated) == 1 else None
    if not epsilon:
        return None
    count = len(report.rows[0].correct)
    radii, shares = [0.0], [report.rows[0].accuracy]
    for radius, share in _known_at(report, epsilon):
        radii += [radii[-1], radius]
        shares += [share, share]
    return {"epsilon": radii, "accuracy": shares, "examples": count}


def _known_at(report, epsilon):
    """Pairs of a radius and the accuracy that is certified at it."""
    proven = report.rows[-1].correct
    radii = np.array(report.certificates.get("radius", np.zeros(len(proven))))
    steps = STEPS if radii.any() else 1
    smaller = epsilon * np.arange(1, steps) / steps
    shares = [(float(r), np.mean(proven | (radii >= r))) for r in smaller]
    shares.append((epsilon, np.mean(proven)))
    return [(radius, float(share)) for radius, share in shares]


def per_class(report):
    """The accuracy of each class under each row, or None if not known."""
    if not report.answers:
        return None
    labels = np.array(report.answers["label"])
    found = []
    for label in np.unique(labels):
        mine = labels == label
        found.append(
            {
                "class": int(label),
                "examples": int(mine.sum()),
                "correct": {
                    row.name: int(row.correct[mine].sum())
                    for row in report.rows
                },
            }
        )
    return found


def bands(curves):
    """The 95 % Wilson score intervals of the points of curves."""
    return {
        name: [
            list(wilson(round(share * curve["examples"]), curve["examples"]))
            for share in curve["accuracy"]
        ]
        for name, curve in curves.items()
    }


def csv_of(report):
    """The verdicts of every example as CSV, 1 where a row is right."""
    names = [row.name for row in report.rows]
    columns: dict[str, Any] = {"example": range(len(report.rows[0].correct))}
    if report.answers:
        columns["label"] = report.answers["label"]
        for name, classes in report.answers["predicted"].items():
            columns[f"predicted: {name}"] = classes
    for name in names:
        columns[f"right: {name}"] = report[name].correct.astype(int)
    for name, values in report.certificates.items():
        columns[name] = ["" if value is None else value for value in values]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()
