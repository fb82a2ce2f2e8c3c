"""Whether a report that was read says what follows from the rest of it."""

import numpy as np

from tfrobust.decision import CERTIFIED
from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.usefulness import of_answers


def contradiction(report) -> str | None:
    """The part of a report that contradicts the rest; None if none does."""
    *others, worst = report.rows
    proven = diagnostics.worst_case(others)
    if report.certificates:
        proven = np.array(report.certificates["verdict"]) == CERTIFIED
    if not np.array_equal(worst.correct, proven):
        return "the worst case"
    if not {*report.curves} <= {row.name for row in report.rows}:
        return "the curves"
    if report.answers and not _answers_follow(report):
        return "the answers"
    return None if _checks_follow(report) else "the checks"


def _answers_follow(report):
    """Whether labels are counted as said, and what is right is the label."""
    labels = np.array(report.answers["label"])
    counts = report.classes.get("labels")
    if counts is not None:
        if labels.min() < 0 or labels.max() >= len(counts):
            return False
        if np.bincount(labels, minlength=len(counts)).tolist() != counts:
            return False
    return all(
        np.all(
            np.array(predicted)[report[name].correct]
            == labels[report[name].correct]
        )
        for name, predicted in report.answers["predicted"].items()
    )


def _checks_follow(report):
    """Whether every check failed that fails by the rows and the classes."""
    rows, classes = report.rows, report.classes
    known = of_answers(rows[0], classes) if classes else []
    # Those of certificates follow from more than is kept, all but one.
    known += diagnostics.of_rows(rows)
    if report.certificates:
        known = [check for check in known if check.name != "ordered"]
    failed = {c.name for c in report.checks if c.critical and not c.passed}
    return failed >= {c.name for c in known if c.critical and not c.passed}
