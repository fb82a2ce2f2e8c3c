"""Verifiers: how wrong can a network be, proven from above."""

from tfrobust.bounds.activation import Activation, Relaxation
from tfrobust.bounds.linear import Linear
from tfrobust.bounds.record import register_rule
from tfrobust.decision import Decision
from tfrobust.specification import Specification
from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.box_pictures import save_histogram, save_map
from tfrobust.verifiers.branch_and_bound import Answer, BranchAndBound
from tfrobust.verifiers.certified_boxes import CertifiedBoxes
from tfrobust.verifiers.certified_radius import (
    CertifiedRadius,
    certified_radius,
)
from tfrobust.verifiers.check_rule import check_rule
from tfrobust.verifiers.coverage import Coverage, coverage
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.crown_ibp import CROWNIBP
from tfrobust.verifiers.fast_lin import FastLin
from tfrobust.verifiers.ibp import IBP
from tfrobust.verifiers.ladder import ladder
from tfrobust.verifiers.lipschitz import Lipschitz
from tfrobust.verifiers.maximize_box import maximize_box
from tfrobust.verifiers.output_bounds import bounds
from tfrobust.verifiers.polyhedral_envelope import PolyhedralEnvelope
from tfrobust.verifiers.randomized_smoothing import RandomizedSmoothing
from tfrobust.verifiers.smoothed import Smoothed

__all__ = [
    "CROWN",
    "CROWNIBP",
    "IBP",
    "Activation",
    "AlphaCROWN",
    "Answer",
    "BranchAndBound",
    "CertifiedBoxes",
    "CertifiedRadius",
    "Coverage",
    "Decision",
    "FastLin",
    "Linear",
    "Lipschitz",
    "PolyhedralEnvelope",
    "RandomizedSmoothing",
    "Relaxation",
    "Smoothed",
    "Specification",
    "bounds",
    "certified_radius",
    "check_rule",
    "coverage",
    "ladder",
    "maximize_box",
    "register_rule",
    "save_histogram",
    "save_map",
]


def __dir__() -> list[str]:
    return __all__
