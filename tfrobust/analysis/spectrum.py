"""Eigenvalues and what they cost."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian, with what shows how far to trust them.

    Args:
        values: Eigenvalues, in the order that was asked for, shape `[count]`.
        vectors: Unit eigenvectors, each a row of flat trainable weights, shape
            `[count, weights]`: directions for `tfr.analysis.scan`.
        residuals: Norms of `H v - value v`: there is an eigenvalue at most so
            far from each value, shape `[count]`.
        products: Hessian-vector products taken, each a pass over all data;
            those for the residuals included.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    products: int

    def to_dict(self) -> dict:
        """All but the vectors, as what JSON can hold."""
        return {
            "values": self.values.tolist(),
            "residuals": self.residuals.tolist(),
            "products": self.products,
        }
