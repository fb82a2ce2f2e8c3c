"""Power iteration with deflation."""

import numpy as np

from tfrobust.analysis.lanczos import Product
from tfrobust.analysis.spectrum import Spectrum


def power_iteration(
    product: Product,
    size: int,
    count: int,
    tolerance: float,
    limit: int,
    random: np.random.Generator,
) -> Spectrum:
    """The eigenvalues of largest magnitude, one after the other.

    Args:
        product: The operator, a function of a vector to a vector.
        size: Length of its vectors.
        count: How many.
        tolerance: Relative change of the eigenvalue at which one is found.
        limit: Most products for each.
        random: The generator of the starts.
    """
    values, residuals = np.zeros(0), np.zeros(0)
    vectors, used = np.zeros([0, size]), 0
    for _ in range(count):
        vector = _unit(random.standard_normal(size), vectors)
        value = np.inf
        for _ in range(limit):
            image = product(vector)
            used += 1
            before, value = value, float(vector @ image)
            residual = np.linalg.norm(image - value * vector)
            settled = abs(value - before) <= tolerance * abs(value)
            if settled or not np.any(image):
                break
            moved, vector = vector, _unit(image, vectors)
        else:
            vector = moved  # Whose value and residual these are.
        values = np.append(values, value)
        residuals = np.append(residuals, residual)
        vectors = np.concatenate([vectors, vector[None]])
    return Spectrum(values, vectors, residuals, used)


def _unit(vector, others):
    """A vector of length 1, orthogonal to others but for rounding."""
    vector = vector - others.T @ (others @ vector)
    return vector / np.linalg.norm(vector)
