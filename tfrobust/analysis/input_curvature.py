"""The largest eigenvalue of each example's Hessian by its input."""

from collections.abc import Callable

import numpy as np

# Below this fraction of the largest number seen, the rest of a product that is
# computed in float32 is rounding.
_ROUNDING = 1e-5


def top_eigenvalues(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The algebraically largest eigenvalues of many symmetric matrices.

    The Lanczos recursion with full re-orthogonalisation, all rows at once. A
    row whose space is exhausted stops there.

    Args:
        product: Multiplies each row by its own matrix: `[rows, size]` to the
            same.
        start: Where each begins, shape `[rows, size]`.
        steps: Products to take, beside one for the residuals.

    Returns:
        Eigenvalues and residuals `|H v - value v|`, shape `[rows]`.
    """
    count = min(steps, start.shape[1])
    vector, _ = _unit(np.asarray(start, np.float64))
    basis = np.zeros([count, *start.shape])
    alphas, betas = np.zeros([2, count, len(start)])
    for j in range(count):
        basis[j] = vector
        rest = product(vector)
        alphas[j] = np.sum(vector * rest, axis=1)
        for _ in range(2):
            shares = np.einsum("jnd,nd->jn", basis[: j + 1], rest)
            rest = rest - np.einsum("jn,jnd->nd", shares, basis[: j + 1])
        vector, betas[j] = _unit(rest)
        largest = np.maximum(np.abs(alphas), betas).max(axis=0)
        ended = betas[j] <= _ROUNDING * largest
        vector[ended], betas[j, ended] = 0.0, 0.0
    # Steps after the end of a row must not show an eigenvalue of 0.
    empty = np.sum(basis**2, axis=2) < 0.5
    floor = -1 - 3 * np.maximum(np.abs(alphas), betas).max(axis=0)
    alphas = np.where(empty, floor, alphas)
    matrices = np.zeros([len(start), count, count])
    for j in range(count):
        matrices[:, j, j] = alphas[j]
        if j + 1 < count:
            matrices[:, j, j + 1] = matrices[:, j + 1, j] = betas[j]
    _, rows = np.linalg.eigh(matrices)
    top, _ = _unit(np.einsum("nj,jnd->nd", rows[:, :, -1], basis))
    image = product(top)
    values = np.sum(top * image, axis=1)
    return values, np.linalg.norm(image - values[:, None] * top, axis=1)


def _unit(rows):
    """Rows of length 1, or 0, and the lengths."""
    lengths = np.linalg.norm(rows, axis=1)
    return rows / np.where(lengths > 0, lengths, 1.0)[:, None], lengths
