"""Whether maps read the model: a comparison with one of random weights."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tfrobust import checks
from tfrobust.analysis.maps import attributed, cosines, rows
from tfrobust.analysis.problem import problem
from tfrobust.analysis.saliency import saliency
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.types import TensorLike


class Randomization(NamedTuple):
    """Rank correlations of maps of a model and of random ones.

    Attributes:
        signed: Of the maps, shape `[batch]`: near 0 of maps that read the
            model, 1 of maps that read the input alone. NaN where a map is
            constant.
        absolute: Of their magnitudes, which follow the input and the
            architecture too, where gradients vanish, say: they need not be
            near 0.
    """

    signed: np.ndarray
    absolute: np.ndarray


@on_network
def randomization(
    model: keras.Model,
    x: TensorLike,
    y: TensorLike | None = None,
    attribution: Callable[..., Any] = saliency,
    draws: int = 5,
    batch_size: int = 128,
    seed: int = 0,
) -> Randomization:
    """Compares maps with those of the same network of random weights.

    Kernels and matrices are drawn anew from the normal distribution of mean 0
    and their own variance; of vectors, the entries are shuffled. The weights
    come back as they were.

    Args:
        model: A `RobustModel` or a Keras model of logits.
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`; None for those that the model as
            it is predicts.
        attribution: Function `(model, x, y) -> maps`.
        draws: Number of random networks, over which correlations are averaged.
        batch_size: Number of examples of which labels are predicted at once.
        seed: Integer that keys the weights.

    Returns:
        A `Randomization`.

    Raises:
        TypeError: If `model` is no Keras model.
        ValueError: If another argument isn't as expected.

    Example:
        `tfr.analysis.randomization(model, x).signed.mean()`

    Reference: Adebayo et al., 2018, arXiv 1810.03292, section 3.
    """
    checks.kind(model, keras.Model, "model", "a RobustModel")
    checks.count(draws, "draws")
    x, y = problem(model, x, y, batch_size)
    clean = rows(attributed(attribution, model, x, y))
    random = np.random.default_rng(seed)
    signed, absolute = [], []
    for _ in range(draws):
        with _randomized(model, random):
            found = rows(attributed(attribution, model, x, y))
        signed.append(rank_correlation(clean, found))
        absolute.append(rank_correlation(np.abs(clean), np.abs(found)))
    return Randomization(np.mean(signed, axis=0), np.mean(absolute, axis=0))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's of each pair of rows, `[batch]`; NaN where one is constant."""
    centred = []
    for part in (one, other):
        ranks = np.array([_ranks(row) for row in part])
        centred.append(ranks - ranks.mean(axis=1, keepdims=True))
    return cosines(*centred)


def _ranks(values):
    """The place of each value in order; what is equal shares the mean."""
    _, place, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place.reshape(-1)]


@contextlib.contextmanager
def _randomized(model: Any, random: np.random.Generator) -> Iterator[None]:
    """Gives a Keras model random weights for a while."""
    saved = model.get_weights()
    try:
        model.set_weights([_drawn(weight, random) for weight in saved])
        yield
    finally:
        model.set_weights(saved)


def _drawn(weight, random):
    """A random array like a weight; what is no number of a layer stays."""
    if weight.dtype.kind != "f" or weight.ndim == 0:
        return weight
    if weight.ndim == 1:
        return random.permutation(weight)
    drawn = weight.std() * random.standard_normal(weight.shape)
    return drawn.astype(weight.dtype)
