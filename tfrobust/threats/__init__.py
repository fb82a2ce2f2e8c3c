"""Sets of allowed perturbations."""

from tfrobust.threats.box import Box
from tfrobust.threats.l1 import L1
from tfrobust.threats.l2 import L2
from tfrobust.threats.linf import Linf
from tfrobust.threats.patch import Patch
from tfrobust.threats.region import Region
from tfrobust.threats.spatial import Spatial
from tfrobust.threats.threat import Threat

__all__ = [
    "Box",
    "L1",
    "L2",
    "Linf",
    "Patch",
    "Region",
    "Spatial",
    "Threat",
]


def __dir__() -> list[str]:
    return __all__
