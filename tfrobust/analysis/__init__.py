"""What a trained network is like: its loss, what it reads, where it decides."""

from tfrobust.analysis.alignment import (
    Alignment,
    alignment,
    class_mean_cosine,
    class_means,
)
from tfrobust.analysis.boundary import Boundary, boundary
from tfrobust.analysis.compare import compare
from tfrobust.analysis.connection import Connection
from tfrobust.analysis.deletion_insertion import (
    DeletionInsertion,
    deletion_insertion,
)
from tfrobust.analysis.generate import Generated, generate
from tfrobust.analysis.gradient_continuity import (
    GradientContinuity,
    gradient_continuity,
)
from tfrobust.analysis.grid import grid
from tfrobust.analysis.hessian import hessian
from tfrobust.analysis.input_smoothness import (
    InputSmoothness,
    input_smoothness,
)
from tfrobust.analysis.integrated_gradients import (
    IntegratedGradients,
    integrated_gradients,
)
from tfrobust.analysis.invert_features import Inverted, invert_features
from tfrobust.analysis.landscape import Landscape
from tfrobust.analysis.lipschitz import LipschitzConstants, lipschitz
from tfrobust.analysis.loss_hessian import LossHessian
from tfrobust.analysis.mode_connectivity import mode_connectivity
from tfrobust.analysis.normals import (
    NormalSimilarity,
    dimension,
    normal_similarity,
)
from tfrobust.analysis.randomization import Randomization, randomization
from tfrobust.analysis.report import report
from tfrobust.analysis.saliency import saliency
from tfrobust.analysis.scan import scan
from tfrobust.analysis.scattering import Scattering, scattering
from tfrobust.analysis.smooth_grad import smooth_grad
from tfrobust.analysis.sparsity import gini, mass, object_mass
from tfrobust.analysis.spectral_density import Density
from tfrobust.analysis.spectrum import Spectrum
from tfrobust.analysis.stability import Stability, stability
from tfrobust.analysis.total_variation import total_variation
from tfrobust.analysis.trace import Trace

__all__ = [
    "Alignment",
    "Boundary",
    "Connection",
    "DeletionInsertion",
    "Density",
    "Generated",
    "GradientContinuity",
    "InputSmoothness",
    "IntegratedGradients",
    "Inverted",
    "Landscape",
    "LipschitzConstants",
    "LossHessian",
    "NormalSimilarity",
    "Randomization",
    "Scattering",
    "Spectrum",
    "Stability",
    "Trace",
    "alignment",
    "boundary",
    "class_mean_cosine",
    "class_means",
    "compare",
    "deletion_insertion",
    "dimension",
    "generate",
    "gini",
    "gradient_continuity",
    "grid",
    "hessian",
    "input_smoothness",
    "integrated_gradients",
    "invert_features",
    "lipschitz",
    "mass",
    "mode_connectivity",
    "normal_similarity",
    "object_mass",
    "randomization",
    "report",
    "saliency",
    "scan",
    "scattering",
    "smooth_grad",
    "stability",
    "total_variation",
]


def __dir__() -> list[str]:
    return __all__
