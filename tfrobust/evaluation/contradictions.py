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
    return None if _checks_follow(report) else "the checks"


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
