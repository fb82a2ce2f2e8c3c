"""Keras callbacks for robust training."""

from tfrobust.callbacks.catastrophic_overfitting import (
    CatastrophicOverfitting,
)
from tfrobust.callbacks.gradual_density import GradualDensity
from tfrobust.callbacks.instance_history import InstanceHistory
from tfrobust.callbacks.reestimate_batch_norm import ReestimateBatchNorm
from tfrobust.callbacks.reset_memory import ResetMemory
from tfrobust.callbacks.robust_overfitting import RobustOverfitting
from tfrobust.callbacks.swa import SWA

__all__ = [
    "SWA",
    "CatastrophicOverfitting",
    "GradualDensity",
    "InstanceHistory",
    "ReestimateBatchNorm",
    "ResetMemory",
    "RobustOverfitting",
]


def __dir__() -> list[str]:
    return __all__
