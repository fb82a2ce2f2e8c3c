"""Whole-dataset evaluation under attack, and how far to believe it."""

from tfrobust.evaluation.certify import certify
from tfrobust.evaluation.compare import compare
from tfrobust.evaluation.comparison import Comparison
from tfrobust.evaluation.diagnostics import Check
from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.report import Report
from tfrobust.evaluation.row import Row

__all__ = [
    "Check",
    "Comparison",
    "Report",
    "Row",
    "certify",
    "compare",
    "evaluate",
]


def __dir__() -> list[str]:
    return __all__
