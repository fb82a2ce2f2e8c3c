"""What a trained network is like: what it reads, and where it decides."""

from tfrobust.analysis.alignment import (
    Alignment,
    alignment,
    class_mean_cosine,
    class_means,
)
from tfrobust.analysis.boundary import Boundary, boundary
from tfrobust.analysis.deletion_insertion import (
    DeletionInsertion,
    deletion_insertion,
)
from tfrobust.analysis.generate import Generated, generate
from tfrobust.analysis.grid import grid
from tfrobust.analysis.integrated_gradients import (
    IntegratedGradients,
    integrated_gradients,
)
from tfrobust.analysis.invert_features import Inverted, invert_features
from tfrobust.analysis.normals import (
    NormalSimilarity,
    dimension,
    normal_similarity,
)
from tfrobust.analysis.randomization import Randomization, randomization
from tfrobust.analysis.saliency import saliency
from tfrobust.analysis.smooth_grad import smooth_grad
from tfrobust.analysis.sparsity import gini, mass, object_mass
from tfrobust.analysis.stability import Stability, stability
from tfrobust.analysis.total_variation import total_variation

__all__ = [
    "Alignment",
    "Boundary",
    "DeletionInsertion",
    "Generated",
    "IntegratedGradients",
    "Inverted",
    "NormalSimilarity",
    "Randomization",
    "Stability",
    "alignment",
    "boundary",
    "class_mean_cosine",
    "class_means",
    "deletion_insertion",
    "dimension",
    "generate",
    "gini",
    "grid",
    "integrated_gradients",
    "invert_features",
    "mass",
    "normal_similarity",
    "object_mass",
    "randomization",
    "saliency",
    "smooth_grad",
    "stability",
    "total_variation",
]


def __dir__() -> list[str]:
    return __all__
