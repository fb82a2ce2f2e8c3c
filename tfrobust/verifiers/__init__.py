"""Verifiers: how wrong can a network be, proven from above."""

from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.crown_ibp import CROWNIBP
from tfrobust.verifiers.fast_lin import FastLin
from tfrobust.verifiers.ibp import IBP

__all__ = ["CROWN", "CROWNIBP", "IBP", "FastLin"]
