"""Whole-dataset evaluation under attack, and how far to believe it."""

from tfrobust.evaluation.certify import certify
from tfrobust.evaluation.diagnostics import Check
from tfrobust.evaluation.evaluate import evaluate
from tfrobust.evaluation.report import Report, Row

__all__ = ["Check", "Report", "Row", "certify", "evaluate"]
