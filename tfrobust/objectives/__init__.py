"""Training objectives: how the worst case is used to learn."""

from tfrobust.objectives.awp import AWP
from tfrobust.objectives.clean import Clean
from tfrobust.objectives.distillation import Distillation
from tfrobust.objectives.mart import MART
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.per import PER
from tfrobust.objectives.trades import TRADES
from tfrobust.objectives.worst_case import WorstCase

__all__ = [
    "AWP",
    "MART",
    "PER",
    "TRADES",
    "Clean",
    "Distillation",
    "Objective",
    "Outcome",
    "WorstCase",
]


def __dir__() -> list[str]:
    return __all__
