"""Attacks: answers from below, by showing a point."""

from tfrobust.attacks.fgsm import FGSM
from tfrobust.attacks.pgd import PGD

__all__ = ["FGSM", "PGD"]
