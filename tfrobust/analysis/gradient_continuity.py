"""How far the gradient jumps between weights that come together."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrobust import checks, pictures
from tfrobust.analysis.risk import Risk
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.types import Loss, Model, Path, TensorLike


@dataclasses.dataclass(frozen=True)
class GradientContinuity:
    """Quotients of gradients and weights, as the distance goes to zero.

    Args:
        lengths: Distances of the weights, as float32 held them, shape
            `[lengths, directions]`.
        quotients: `|grad L(t1) - grad L(t2)| / |t1 - t2|`, of that shape.
        rounding: What rounding of the gradient to float32 may make of each
            quotient: those that aren't far above say nothing.
    """

    lengths: np.ndarray
    quotients: np.ndarray
    rounding: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Means over the directions, shape `[lengths]`."""
        return self.quotients.mean(axis=1)

    @property
    def max(self) -> np.ndarray:
        """Largest of the directions, shape `[lengths]`."""
        return self.quotients.max(axis=1)

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return {name: value.tolist() for name, value in vars(self).items()}

    def plot(self, path: Path) -> None:
        """Writes a picture, both axes logarithmic.

        Args:
            path: File to write, such as `"continuity.svg"`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        figure = pictures.figure()
        panel = figure.subplots()
        length = self.lengths.mean(axis=1)
        panel.loglog(length, self.mean, marker="o", label="mean")
        panel.loglog(length, self.max, marker="o", label="largest")
        floor = self.rounding.mean(axis=1)
        panel.loglog(length, floor, "k--", label="rounding")
        panel.set(
            xlabel="distance of weights", ylabel="gradients over distance"
        )
        panel.legend()
        pictures.save(figure, path)


@on_network
def gradient_continuity(
    model: Model,
    data: Any,
    loss: Loss | str | None = None,
    attack: Attack | None = None,
    directions: int | Sequence[TensorLike] = 3,
    lengths: Sequence[float] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
    batch_size: int = 128,
    seed: int = 0,
) -> GradientContinuity:
    """Quotients of gradients and weights along lines from the weights.

    From t1, the weights, each line leads to t2, `length` away. If the gradient
    is Lipschitz the quotients stay bounded as the length goes to zero, and
    converge to `|H v|` where it has a derivative. With an attack, which runs
    anew at t1 and t2, the worst points jump, and with them the gradient: its
    quotient is bounded by `L_tt + 2 epsilon L_tx / |t1 - t2|` only. The kinks
    of ReLU make quotients grow too, without an attack, but more slowly:
    compare both.

    Args:
        model: A `RobustModel` or a Keras model of logits, whose weights come
            back as they were.
        data: A pair of arrays `(x, y)`, or a batched `tf.data.Dataset` of
            them.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        attack: An `Attack` that runs at each weights, or None.
        directions: How many random directions, or flat vectors of the
            trainable weights, such as `Spectrum.vectors`.
        lengths: Distances in the space of weights, positive.
        batch_size: Number of examples in a batch of arrays.
        seed: Integer that keys the directions.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range.

    Example:
        found = tfr.analysis.gradient_continuity(model, (x, y), attack=pgd)
        print(found.lengths[:, 0], found.mean)

    Reference: Liu et al., 2020, arXiv 2006.08403.
    """
    for length in lengths:
        checks.positive(length, "lengths")
    risk = Risk(model, data, loss, attack, batch_size)
    lines = _lines(directions, risk.size, seed)
    start = risk.weights()
    first = risk.gradient(risk.points())
    shape = [len(lengths), len(lines)]
    apart, quotients = np.zeros(shape), np.zeros(shape)
    with risk.restored():
        for i, length in enumerate(lengths):
            for j, line in enumerate(lines):
                risk.assign(start + length * line)
                # Rounding moves weights by more or less than was said.
                apart[i, j] = np.linalg.norm(risk.weights() - start)
                gap = risk.gradient(risk.points()) - first
                quotients[i, j] = np.linalg.norm(gap) / apart[i, j]
    resolution = np.finfo(np.float32).eps * np.linalg.norm(first)
    return GradientContinuity(apart, quotients, resolution / apart)


def _lines(directions, size, seed):
    """Unit vectors, one for each direction."""
    if isinstance(directions, int):
        checks.count(directions, "directions")
        random = np.random.default_rng(seed)
        directions = random.standard_normal([directions, size])
    lines = np.asarray(directions, np.float64)
    fine = lines.ndim == 2 and lines.shape[1] == size
    expected = (
        f"be a number, or vectors of shape [directions, {size}] that aren't 0"
    )
    fine = fine and bool(np.all(np.any(lines, axis=1)))
    checks.argument(fine, "directions", expected, lines)
    return lines / np.linalg.norm(lines, axis=1, keepdims=True)
