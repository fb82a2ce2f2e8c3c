"""Threats by the name of their norm."""

from tfrobust import checks
from tfrobust.threats.l1 import L1
from tfrobust.threats.l2 import L2
from tfrobust.threats.linf import Linf
from tfrobust.threats.threat import Threat
from tfrobust.types import TensorLike

NORMS = {"linf": Linf, "l2": L2, "l1": L1}


def threat_of(epsilon: TensorLike, norm: str = "linf") -> Threat:
    """Returns the threat of a radius, for inputs in [0, 1].

    Args:
        epsilon: Radius in the units of the inputs.
        norm: `"linf"`, `"l2"` or `"l1"`.

    Raises:
        ValueError: If the norm is unknown or epsilon no radius of it.
    """
    known = isinstance(norm, str) and norm in NORMS
    checks.argument(known, "norm", 'be "linf", "l2" or "l1"', norm)
    return NORMS[norm](epsilon)
