"""Keras callbacks for robust training."""

from tfrobust.callbacks.gradual_density import GradualDensity

__all__ = ["GradualDensity"]


def __dir__() -> list[str]:
    return __all__
