"""Training objectives: how the worst case is used to learn."""

from tfrobust.objectives.atas import ATAS
from tfrobust.objectives.atta import ATTA
from tfrobust.objectives.awp import AWP
from tfrobust.objectives.batch_statistics import BatchStatistics
from tfrobust.objectives.clean import Clean
from tfrobust.objectives.distillation import Distillation
from tfrobust.objectives.expressive import Expressive
from tfrobust.objectives.fgsm_pgi import FGSMPGI
from tfrobust.objectives.free import Free
from tfrobust.objectives.glo_ro import GloRo
from tfrobust.objectives.grad_align import GradAlign
from tfrobust.objectives.iat import IAT
from tfrobust.objectives.loss_fusion import LossFusion
from tfrobust.objectives.mart import MART
from tfrobust.objectives.noisy import Consistency, Noisy, SmoothAdv
from tfrobust.objectives.nuat import NuAT
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.per import PER
from tfrobust.objectives.qub import QUB
from tfrobust.objectives.recorded import Recorded
from tfrobust.objectives.relu_stability import ReLUStability
from tfrobust.objectives.reweighted import Reweighted
from tfrobust.objectives.sabr import SABR
from tfrobust.objectives.self_adaptive import SelfAdaptive
from tfrobust.objectives.single_step import SingleStep
from tfrobust.objectives.taps import TAPS
from tfrobust.objectives.trades import TRADES
from tfrobust.objectives.warm_up_regularized import WarmUpRegularized
from tfrobust.objectives.worst_case import WorstCase

__all__ = [
    "ATAS",
    "ATTA",
    "AWP",
    "FGSMPGI",
    "IAT",
    "MART",
    "PER",
    "QUB",
    "SABR",
    "TAPS",
    "TRADES",
    "BatchStatistics",
    "Clean",
    "Consistency",
    "Distillation",
    "Expressive",
    "Free",
    "GloRo",
    "GradAlign",
    "LossFusion",
    "Noisy",
    "NuAT",
    "Objective",
    "Outcome",
    "ReLUStability",
    "Recorded",
    "Reweighted",
    "SelfAdaptive",
    "SingleStep",
    "SmoothAdv",
    "WarmUpRegularized",
    "WorstCase",
]


def __dir__() -> list[str]:
    return __all__
