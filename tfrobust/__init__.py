"""tfrobust: adversarially robust Keras models.

Train against the worst case of a threat, evaluate under attack, and ship.
"""

from tfrobust import (
    analysis,
    attacks,
    callbacks,
    compression,
    initializers,
    instances,
    layers,
    losses,
    objectives,
    problems,
    schedules,
    threats,
    verifiers,
)
from tfrobust.adversary import Adversary
from tfrobust.attack import Attack
from tfrobust.evaluation import Report, certify, compare, evaluate
from tfrobust.exporting import export, export_litert
from tfrobust.model import RobustModel
from tfrobust.verifier import Verifier

__version__ = "0.1.0"

__all__ = [
    "Adversary",
    "Attack",
    "Report",
    "RobustModel",
    "Verifier",
    "analysis",
    "attacks",
    "callbacks",
    "certify",
    "compare",
    "compression",
    "evaluate",
    "export",
    "export_litert",
    "initializers",
    "instances",
    "layers",
    "losses",
    "objectives",
    "problems",
    "schedules",
    "threats",
    "verifiers",
]


def __dir__() -> list[str]:
    return __all__
