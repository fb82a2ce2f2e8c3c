"""The density of all eigenvalues of an operator known by its products."""

import dataclasses
import math

import numpy as np

from tfrobust import pictures
from tfrobust.analysis.lanczos import Lanczos, Product
from tfrobust.types import Path, TensorLike


@dataclasses.dataclass(frozen=True)
class Density:
    """An estimate of how eigenvalues are distributed.

    Args:
        grid: Where it is evaluated, shape `[points]`.
        density: Its values there; it integrates to 1 over the real line.
        nodes: The Gaussians' centres, shape `[nodes]`.
        weights: The share of each, which sum to 1.
        sigma: Their standard deviation.
        products: Hessian-vector products taken, each a pass over all data.
    """

    grid: np.ndarray
    density: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    sigma: float
    products: int

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    def plot(self, path: Path) -> None:
        """Writes a picture, the density on a logarithmic axis.

        Args:
            path: File to write, such as `"density.svg"`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        figure = pictures.figure()
        panel = figure.subplots()
        panel.semilogy(self.grid, np.maximum(self.density, 1e-12))
        panel.set(xlabel="eigenvalue", ylabel="density")
        pictures.save(figure, path)


def density(
    product: Product,
    size: int,
    grid: TensorLike | None,
    steps: int,
    runs: int,
    sigma: float | None,
    random: np.random.Generator,
) -> Density:
    """Stochastic Lanczos quadrature.

    Args:
        product: The operator, a function of a vector to a vector.
        size: Length of its vectors.
        grid: Where to evaluate it; None for 1000 points around all nodes.
        steps: Lanczos steps of a run.
        runs: How many runs, each from another random vector.
        sigma: Standard deviation of each Gaussian; None for a hundredth of
            the nodes' range.
        random: The generator of the starts.
    """
    nodes, weights, used = np.zeros(0), np.zeros(0), 0
    for _ in range(runs):
        run = Lanczos(product, size, random)
        # What follows an exhausted space doesn't belong to the start.
        while len(run.alphas) < steps and not run.exhausted:
            run.step()
        values, rows, _ = run.ritz()
        nodes = np.append(nodes, values)
        weights = np.append(weights, rows[0] ** 2 / runs)
        used += len(run.alphas)
    if sigma is None:
        spread = float(nodes.max() - nodes.min())
        sigma = 0.01 * (spread or float(np.abs(nodes).max()) or 1.0)
    if grid is None:
        edges = nodes.min() - 5 * sigma, nodes.max() + 5 * sigma
        grid = np.linspace(*edges, 1000)
    grid = np.asarray(grid, np.float64)
    away = (grid[:, None] - nodes) / sigma
    bells = np.exp(-(away**2) / 2) / (sigma * math.sqrt(2 * math.pi))
    return Density(grid, bells @ weights, nodes, weights, sigma, used)
