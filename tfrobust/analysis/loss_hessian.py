"""A Hessian that is known by its products with vectors."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.analysis import lanczos, power, spectral_density
from tfrobust.analysis import trace as traces
from tfrobust.analysis.risk import Risk
from tfrobust.analysis.spectral_density import Density
from tfrobust.analysis.spectrum import Spectrum
from tfrobust.analysis.trace import Trace
from tfrobust.attack import Attack
from tfrobust.averaging import network_of
from tfrobust.types import Loss, Model, TensorLike

_ORDERS: dict[str, Callable] = {
    "largest": lambda values: values,
    "smallest": lambda values: -values,
    "magnitude": np.abs,
}


class LossHessian:
    """The Hessian of a mean loss by the trainable weights; see `hessian`.

    Example:
        ```
        curvature = tfr.analysis.hessian(model, (x, y))
        print(curvature.trace(samples=4))
        ```
    """

    def __init__(
        self,
        model: Model,
        data: Any,
        loss: Loss | str | None,
        attack: Attack | None,
        at: str,
        batch_size: int,
        length: float,
    ) -> None:
        self.model, self.at, self.length = model, at, length
        with network_of(model) as network:
            self._risk = Risk(network, data, loss, attack, batch_size)
            self._frozen = [*self._risk.points()] if at == "frozen" else []

    @property
    def size(self) -> int:
        """Number of trainable weights: it is a matrix of `[size, size]`."""
        return self._risk.size

    def product(self, vector: TensorLike) -> np.ndarray:
        """Returns `H v`, shape `[size]`, float64: one product.

        Args:
            vector: Flat, the trainable variables in their order, `[size]`.
        """
        vector = np.asarray(vector, np.float64)
        fine = vector.shape == (self.size,)
        expected = f"have shape ({self.size},), one number for each weight"
        checks.argument(fine, "vector", expected, vector)
        with network_of(self.model):
            if self.at == "attacked":
                return self._difference(vector)
            points = self._frozen or self._risk.clean()
            return self._risk.product(points, vector)

    def eigenvalues(
        self,
        k: int = 1,
        which: str = "largest",
        tolerance: float = 1e-3,
        limit: int | None = None,
        seed: int = 0,
    ) -> Spectrum:
        """The first eigenvalues, by the Lanczos algorithm.

        It re-orthogonalises fully, and looks in the complement of what it
        found until nothing comes before it, so that eigenvalues that occur
        several times are found as often.

        Args:
            k: How many, at most `size`.
            which: `"largest"`, `"smallest"` or `"magnitude"`.
            tolerance: Residual at which one is found, as a fraction of the
                largest magnitude.
            limit: Most products to take before those of the residuals; None
                for 100 + 20 `k`. Read the residuals when it is reached.
            seed: Integer that keys the starts.

        Raises:
            ValueError: If an argument is out of its range.
        """
        self._check_count(k)
        check_name(which, "which", _ORDERS)
        checks.number(tolerance, "tolerance", 0)
        limit = 100 + 20 * k if limit is None else limit
        checks.count(limit, "limit", least=k)
        random = np.random.default_rng(seed)
        order = _ORDERS[which]
        _, vectors, used = lanczos.eigenpairs(
            self.product, self.size, k, order, tolerance, limit, random
        )
        images = [self.product(vector) for vector in vectors]
        values = np.sum(vectors * images, axis=1)
        errors = np.linalg.norm(images - values[:, None] * vectors, axis=1)
        best = np.argsort(-order(values), kind="stable")
        products = used + len(images)
        return Spectrum(values[best], vectors[best], errors[best], products)

    def power_iteration(
        self,
        k: int = 1,
        tolerance: float = 1e-3,
        limit: int = 100,
        seed: int = 0,
    ) -> Spectrum:
        """The eigenvalues of largest magnitude, by power iteration.

        A cross-check of `eigenvalues`, which needs fewer products. Those found
        are deflated. Two of one magnitude and opposite signs aren't told
        apart, which the residual shows.

        Args:
            k: How many, at most `size`.
            tolerance: Relative change at which one is found.
            limit: Most products for each.
            seed: Integer that keys the starts.

        Raises:
            ValueError: If an argument is out of its range.
        """
        self._check_count(k)
        checks.number(tolerance, "tolerance", 0)
        checks.count(limit, "limit")
        random = np.random.default_rng(seed)
        return power.power_iteration(
            self.product, self.size, k, tolerance, limit, random
        )

    def trace(
        self, samples: int = 30, confidence: float = 0.95, seed: int = 0
    ) -> Trace:
        """The sum of all eigenvalues, by Hutchinson's estimator.

        Args:
            samples: Random vectors of signs, one product each, at least 2.
            confidence: Probability, in (0, 1), that the interval covers it,
                were what each vector gives normally distributed.
            seed: Integer that keys the vectors.

        Raises:
            ValueError: If an argument is out of its range.

        Reference: Hutchinson, 1990, doi 10.1080/03610919008812866.
        """
        checks.count(samples, "samples", least=2)
        checks.number(confidence, "confidence")
        fine = 0 < confidence < 1
        checks.argument(fine, "confidence", "lie in (0, 1)", confidence)
        random = np.random.default_rng(seed)
        return traces.trace(
            self.product, self.size, samples, confidence, random
        )

    def density(
        self,
        grid: TensorLike | None = None,
        steps: int = 80,
        runs: int = 1,
        sigma: float | None = None,
        seed: int = 0,
    ) -> Density:
        """The density of all eigenvalues, by stochastic Lanczos quadrature.

        Args:
            grid: Where to evaluate it; None for 1000 points around all.
            steps: Products of a run.
            runs: How many runs, each from another random vector.
            sigma: Standard deviation of the Gaussian around each node; None
                for a hundredth of the range of eigenvalues.
            seed: Integer that keys the starts.

        Raises:
            ValueError: If an argument is out of its range.

        Reference: Ghorbani et al., 2019, arXiv 1901.10159.
        """
        checks.count(steps, "steps")
        checks.count(runs, "runs")
        if sigma is not None:
            checks.positive(sigma, "sigma")
        random = np.random.default_rng(seed)
        return spectral_density.density(
            self.product, self.size, grid, steps, runs, sigma, random
        )

    def _difference(self, vector):
        """A central difference of the gradient, attacked on both sides."""
        length = np.linalg.norm(vector)
        if length == 0:
            return np.zeros(self.size)
        risk, start = self._risk, self._risk.weights()
        gradients = []
        with risk.restored():
            for sign in (1, -1):
                risk.assign(start + sign * self.length / length * vector)
                gradients.append(risk.gradient(risk.points()))
        return (gradients[0] - gradients[1]) * length / (2 * self.length)

    def _check_count(self, k):
        checks.count(k, "k")
        expected = f"be at most {self.size}, the number of weights"
        checks.argument(k <= self.size, "k", expected, k)


def check_name(value: str, name: str, known: Iterable[str]) -> None:
    """Refuses an argument that isn't one of the known words."""
    expected = f"be one of {', '.join(map(repr, known))}"
    checks.argument(value in tuple(known), name, expected, value)
