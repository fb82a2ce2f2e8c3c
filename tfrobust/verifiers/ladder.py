"""Verifiers from cheap to tight."""

from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.crown_ibp import CROWNIBP
from tfrobust.verifiers.ibp import IBP


def ladder(threat):
    """Returns IBP, CROWN-IBP, CROWN and alpha-CROWN for one threat."""
    return [step(threat) for step in (IBP, CROWNIBP, CROWN, AlphaCROWN)]
