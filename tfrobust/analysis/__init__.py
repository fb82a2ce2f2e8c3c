"""What a trained network is like: curvature and landscape of its loss."""

from tfrobust.analysis.hessian import hessian
from tfrobust.analysis.loss_hessian import LossHessian

__all__ = [
    "LossHessian",
    "hessian",
]


def __dir__() -> list[str]:
    return __all__
