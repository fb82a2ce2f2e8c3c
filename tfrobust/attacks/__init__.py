"""Attacks: searches for the worst point of a threat."""

from tfrobust.attacks.adat import AdAT
from tfrobust.attacks.apgd import APGD
from tfrobust.attacks.autoattack import AutoAttack
from tfrobust.attacks.boundary_attack import BoundaryAttack
from tfrobust.attacks.carlini_wagner import CarliniWagner
from tfrobust.attacks.deepfool import DeepFool
from tfrobust.attacks.ead import EAD
from tfrobust.attacks.ensemble import Ensemble
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.fast_egl1 import FastEGL1
from tfrobust.attacks.fgsm import FGSM
from tfrobust.attacks.hop_skip_jump import HopSkipJump
from tfrobust.attacks.minimum_norm import MinimumNorm
from tfrobust.attacks.nfgsm import NFGSM
from tfrobust.attacks.patch_attack import PatchAttack
from tfrobust.attacks.pgd import PGD
from tfrobust.attacks.restart import Restart
from tfrobust.attacks.spatial_attack import SpatialAttack
from tfrobust.attacks.square import Square
from tfrobust.attacks.substitute import Substitute
from tfrobust.attacks.track import Track, track
from tfrobust.attacks.transfer import Transfer
from tfrobust.attacks.universal import Universal

__all__ = [
    "APGD",
    "EAD",
    "FAB",
    "FGSM",
    "NFGSM",
    "PGD",
    "AdAT",
    "AutoAttack",
    "BoundaryAttack",
    "CarliniWagner",
    "DeepFool",
    "Ensemble",
    "FastEGL1",
    "HopSkipJump",
    "MinimumNorm",
    "PatchAttack",
    "Restart",
    "SpatialAttack",
    "Square",
    "Substitute",
    "Track",
    "Transfer",
    "Universal",
    "track",
]


def __dir__() -> list[str]:
    return __all__
