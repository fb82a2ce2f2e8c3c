"""tfrobust: adversarially robust Keras models.

Train against the worst case of a threat, evaluate under attack, and ship.
"""

from tfrobust import (
    attacks,
    compression,
    layers,
    losses,
    objectives,
    schedules,
    threats,
    verifiers,
)
from tfrobust.adversary import Adversary, Attack, Verifier
from tfrobust.evaluation import Report, certify, evaluate
from tfrobust.export import export
from tfrobust.model import RobustModel

__version__ = "0.1.0"

__all__ = [
    "Adversary",
    "Attack",
    "Report",
    "RobustModel",
    "Verifier",
    "attacks",
    "certify",
    "compression",
    "evaluate",
    "export",
    "layers",
    "losses",
    "objectives",
    "schedules",
    "threats",
    "verifiers",
]
