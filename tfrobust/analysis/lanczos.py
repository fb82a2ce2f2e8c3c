"""Eigenvalues of a symmetric operator that is known by its products."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

Product: TypeAlias = Callable[[np.ndarray], np.ndarray]

# Below this fraction of the largest number seen, the rest of a product that is
# computed in float32 is rounding.
_ROUNDING = 1e-5
# Products between two looks at how far the eigenvalues have come.
_EVERY = 5


class Lanczos:
    """The Lanczos recursion with full re-orthogonalisation.

    When the Krylov space is exhausted it goes on from a random vector that is
    orthogonal to all before, unless it is `full`.

    Args:
        product: The operator, a function of a vector to a vector.
        size: Length of the vectors.
        random: The generator of the start.
        avoid: Orthonormal rows whose complement is searched.

    Reference: Golub and Van Loan, Matrix Computations, 4th edition, section
    10.3.
    """

    def __init__(
        self,
        product: Product,
        size: int,
        random: np.random.Generator,
        avoid: np.ndarray | None = None,
    ) -> None:
        self._product, self._random = product, random
        self._avoid = np.zeros([0, size]) if avoid is None else avoid
        self._room = size - len(self._avoid)
        self.basis = np.zeros([0, size])
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self._next = self._fresh()

    @property
    def full(self) -> bool:
        """Whether the basis spans the whole space."""
        return len(self.alphas) >= self._room

    @property
    def exhausted(self) -> bool:
        """Whether the last product left the space of the start."""
        return bool(self.betas) and self.betas[-1] == 0.0

    def step(self) -> None:
        """Takes one product."""
        vector = self._next
        self.basis = np.concatenate([self.basis, vector[None]])
        image = self._product(vector)
        self.alphas.append(float(vector @ image))
        rest = self._orthogonal(image)
        beta = float(np.linalg.norm(rest))
        largest = max(map(abs, [*self.alphas, *self.betas]))
        if self.full or beta <= _ROUNDING * largest:
            self.betas.append(0.0)
            self._next = vector if self.full else self._fresh()
        else:
            self.betas.append(beta)
            self._next = rest / beta

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, coefficients `[steps, values]` of vectors, and residuals.

        The residuals are those of exact arithmetic.
        """
        beside = np.diag(self.betas[:-1], 1)
        values, rows = np.linalg.eigh(np.diag(self.alphas) + beside + beside.T)
        return values, rows, self.betas[-1] * np.abs(rows[-1])

    def _orthogonal(self, vector):
        for _ in range(2):  # Twice is enough, a rule of Kahan and Parlett.
            for rows in (self._avoid, self.basis):
                vector = vector - rows.T @ (rows @ vector)
        return vector

    def _fresh(self):
        vector = self._random.standard_normal(self.basis.shape[1])
        vector = self._orthogonal(vector)
        return vector / np.linalg.norm(vector)


class Pairs(NamedTuple):
    """Eigenvalues `[count]`, vectors as rows, and how many products."""

    values: np.ndarray
    vectors: np.ndarray
    products: int


def eigenpairs(
    product: Product,
    size: int,
    count: int,
    order: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
    limit: int,
    random: np.random.Generator,
) -> Pairs:
    """The first eigenvalues of an operator.

    One Krylov space shows each eigenvalue once, however often it occurs. So
    further runs search the complement of what was found until they find
    nothing that comes before it.

    Args:
        product: The operator.
        size: Length of its vectors.
        count: How many, at most `size`.
        order: Function of values whose largest results come first.
        tolerance: Largest residual, as a fraction of the largest magnitude.
        limit: Most products to take; then the values are what they are.
        random: The generator of starts.
    """
    values, vectors, used, scale = np.zeros(0), np.zeros([0, size]), 0, 0.0
    while len(vectors) < size and used < limit:
        wanted = max(1, count - len(values))
        run = Lanczos(product, size, random, vectors)
        while used < limit and not run.full:
            run.step()
            used += 1
            if len(run.alphas) % _EVERY and not run.full and used < limit:
                continue
            found, rows, errors = run.ritz()
            scale = max(scale, float(np.max(np.abs(found))))
            best = np.argsort(-order(found), kind="stable")[:wanted]
            done = np.all(errors[best] <= tolerance * scale)
            if done and len(best) == wanted:
                break
        confirmed = len(values) >= count and np.all(
            order(found[best]) <= order(values).min() + tolerance * scale
        )
        if confirmed:
            break
        values = np.append(values, found[best])
        vectors = np.concatenate([vectors, rows[:, best].T @ run.basis])
        vectors = _orthonormal(vectors)
        kept = np.argsort(-order(values), kind="stable")[:count]
        values, vectors = values[kept], vectors[kept]
    return Pairs(values, vectors, used)


def _orthonormal(rows):
    """Rows made orthonormal, each close to what it was."""
    basis, triangle = np.linalg.qr(rows.T)
    return (basis * np.sign(np.diag(triangle))).T
