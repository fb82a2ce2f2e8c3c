"""tfrobust: adversarially robust Keras models.

Train against the worst case of a threat, evaluate under attack, and ship.
"""

from tfrobust import (
    analysis,
    attacks,
    callbacks,
    compression,
    corruptions,
    initializers,
    instances,
    layers,
    losses,
    objectives,
    problems,
    schedules,
    threats,
    verifiers,
    zoo,
)
from tfrobust.adversary import Adversary
from tfrobust.attack import Attack
from tfrobust.ensembles import ensemble
from tfrobust.evaluation import (
    AdversarialSet,
    Report,
    attack,
    bounds,
    certify,
    compare,
    evaluate,
)
from tfrobust.exporting import export, export_litert
from tfrobust.joined import Joined
from tfrobust.logits_of import logits_of
from tfrobust.model import RobustModel
from tfrobust.verifier import Verifier

__version__ = "0.2.0"

__all__ = [
    "AdversarialSet",
    "Adversary",
    "Attack",
    "Joined",
    "Report",
    "RobustModel",
    "Verifier",
    "analysis",
    "attack",
    "attacks",
    "bounds",
    "callbacks",
    "certify",
    "compare",
    "compression",
    "corruptions",
    "ensemble",
    "evaluate",
    "export",
    "export_litert",
    "initializers",
    "instances",
    "layers",
    "logits_of",
    "losses",
    "objectives",
    "problems",
    "schedules",
    "threats",
    "verifiers",
    "zoo",
]


def __dir__() -> list[str]:
    return __all__
