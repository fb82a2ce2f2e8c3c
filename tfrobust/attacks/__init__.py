"""Attacks: searches for the worst point of a threat."""

from tfrobust.attacks.apgd import APGD
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.fgsm import FGSM
from tfrobust.attacks.pgd import PGD
from tfrobust.attacks.square import Square

__all__ = ["APGD", "FAB", "FGSM", "PGD", "Square"]
