"""Training instances: which ones a batch holds, and what is remembered."""

from tfrobust.instances.augmentation import Augmentation, CropFlip, Identity
from tfrobust.instances.cut_mix import cut_mix
from tfrobust.instances.difficulty import (
    difficulty,
    group_means,
    groups,
    percentiles,
    rank_correlation,
    subset,
)
from tfrobust.instances.indexed import Indexed
from tfrobust.instances.memory import Memory
from tfrobust.instances.mixture import mixture
from tfrobust.instances.replay import replayed
from tfrobust.instances.slot import Slot
from tfrobust.remembered import Remembered

__all__ = [
    "Augmentation",
    "CropFlip",
    "Identity",
    "Indexed",
    "Memory",
    "Remembered",
    "Slot",
    "cut_mix",
    "difficulty",
    "group_means",
    "groups",
    "mixture",
    "percentiles",
    "rank_correlation",
    "replayed",
    "subset",
]


def __dir__() -> list[str]:
    return __all__
