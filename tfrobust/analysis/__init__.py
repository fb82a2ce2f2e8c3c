"""What a trained network is like: curvature and landscape of its loss."""

from tfrobust.analysis.connection import Connection
from tfrobust.analysis.gradient_continuity import (
    GradientContinuity,
    gradient_continuity,
)
from tfrobust.analysis.hessian import hessian
from tfrobust.analysis.input_smoothness import (
    InputSmoothness,
    input_smoothness,
)
from tfrobust.analysis.landscape import Landscape
from tfrobust.analysis.loss_hessian import LossHessian
from tfrobust.analysis.mode_connectivity import mode_connectivity
from tfrobust.analysis.scan import scan
from tfrobust.analysis.scattering import Scattering, scattering
from tfrobust.analysis.spectral_density import Density
from tfrobust.analysis.spectrum import Spectrum
from tfrobust.analysis.trace import Trace

__all__ = [
    "Connection",
    "Density",
    "GradientContinuity",
    "InputSmoothness",
    "Landscape",
    "LossHessian",
    "Scattering",
    "Spectrum",
    "Trace",
    "gradient_continuity",
    "hessian",
    "input_smoothness",
    "mode_connectivity",
    "scan",
    "scattering",
]


def __dir__() -> list[str]:
    return __all__
