"""How rough maps are."""

import numpy as np

from tfrobust.analysis.maps import divided
from tfrobust.analysis.problem import floats
from tfrobust.types import TensorLike


def total_variation(maps: TensorLike) -> np.ndarray:
    """The sum of differences of neighbours over the sum of magnitudes.

    Args:
        maps: Shape `[batch, ...]`; with four or more axes the last one counts
            channels, between which there is no neighbourhood.

    Returns:
        Shape `[batch]`: 0 of a constant map, 4 of a single pixel inside of an
        image, NaN of a map that is 0.

    Raises:
        ValueError: If the maps hold no finite numbers.

    Example:
        `tfr.analysis.total_variation(tfr.analysis.saliency(model, x)).mean()`
    """
    values = floats(maps, "maps").astype(np.float64)
    axes = range(1, values.ndim - (values.ndim >= 4))
    rest = tuple(range(1, values.ndim))
    total = sum(
        np.abs(np.diff(values, axis=axis)).sum(axis=rest) for axis in axes
    )
    return divided(np.asarray(total), np.abs(values).sum(axis=rest))
