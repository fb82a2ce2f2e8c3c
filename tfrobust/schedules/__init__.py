"""Schedules of epsilon, of mixing weights and of the learning rate.

Each is a Keras `LearningRateSchedule`: a function of the optimizer's step.
"""

from tfrobust.schedules.periodic import (
    PeriodicCosine,
    PeriodicDrops,
    PeriodicExponential,
    PeriodicLinear,
)
from tfrobust.schedules.ramps import PiecewiseLinear, Ramp, SmoothRamp

__all__ = [
    "PeriodicCosine",
    "PeriodicDrops",
    "PeriodicExponential",
    "PeriodicLinear",
    "PiecewiseLinear",
    "Ramp",
    "SmoothRamp",
]


def __dir__() -> list[str]:
    return __all__
