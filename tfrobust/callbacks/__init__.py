"""Keras callbacks for robust training."""

from tfrobust.callbacks.gradual_density import GradualDensity
from tfrobust.callbacks.instance_history import InstanceHistory
from tfrobust.callbacks.reset_memory import ResetMemory

__all__ = ["GradualDensity", "InstanceHistory", "ResetMemory"]


def __dir__() -> list[str]:
    return __all__
