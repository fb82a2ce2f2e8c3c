"""Whole-dataset evaluation under attack, and how far to believe it."""

from tfrobust.evaluation.adversarial_set import AdversarialSet
from tfrobust.evaluation.attack import attack
from tfrobust.evaluation.bounds import bounds
from tfrobust.evaluation.certify import certify
from tfrobust.evaluation.compare import compare
from tfrobust.evaluation.comparison import Comparison
from tfrobust.evaluation.diagnostics import Check
from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.loss_report import LossReport
from tfrobust.evaluation.report import Report
from tfrobust.evaluation.row import Row

__all__ = [
    "AdversarialSet",
    "Check",
    "Comparison",
    "LossReport",
    "Report",
    "Row",
    "attack",
    "bounds",
    "certify",
    "compare",
    "evaluate",
]


def __dir__() -> list[str]:
    return __all__
