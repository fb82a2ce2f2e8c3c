"""How alike the normals of decision boundaries are, and how many."""

import dataclasses

import numpy as np

from tfrobust import checks
from tfrobust.analysis.maps import rows
from tfrobust.types import TensorLike


@dataclasses.dataclass(frozen=True)
class NormalSimilarity:
    """Mean cosines of pairs; NaN where there is no pair.

    Args:
        within: Of pairs of one class.
        across: Of pairs of two classes.
        null_within: The first once the features of each row are shuffled, the
            mean over draws: what rows of such values have in common without
            any pattern.
        null_across: The second, likewise.
        null_deviation: Standard deviation of the first over draws.
    """

    within: float
    across: float
    null_within: float
    null_across: float
    null_deviation: float

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return dict(vars(self))


def normal_similarity(
    normals: TensorLike, labels: TensorLike, draws: int = 20, seed: int = 0
) -> NormalSimilarity:
    """Compares the normals of pairs of inputs with those of shuffled ones.

    Args:
        normals: Shape `[batch, ...]`, of any length but 0, such as
            `boundary(...).normals` where `found`; or any other maps, such as
            the logarithms of certified boxes.
        labels: Integer classes, shape `[batch]`.
        draws: Number of shuffles.
        seed: Integer that keys the shuffles.

    Returns:
        A `NormalSimilarity`.

    Raises:
        ValueError: If a normal is 0 or not finite, or the lengths differ.

    Example:
        attack = tfr.attacks.APGD(tfr.threats.L2(3.0))
        near = tfr.analysis.boundary(model, x, y, attack=attack)
        kept = near.found
        print(tfr.analysis.normal_similarity(near.normals[kept], y[kept]))
    """
    checks.count(draws, "draws")
    units, classes = _units(normals), np.asarray(labels)
    fine = classes.shape == (len(units),) and classes.dtype.kind in "iu"
    expected = f"hold an integer class for each normal, shape [{len(units)}]"
    checks.argument(fine, "labels", expected, classes)
    random = np.random.default_rng(seed)
    shuffled = [
        _means(random.permuted(units, axis=1), classes) for _ in range(draws)
    ]
    same, apart = zip(*shuffled, strict=True)
    within, across = _means(units, classes)
    return NormalSimilarity(
        within,
        across,
        float(np.mean(same)),
        float(np.mean(apart)),
        float(np.std(same)),
    )


def dimension(normals: TensorLike, energy: float = 0.9) -> int:
    """How many directions hold most of the normals.

    Args:
        normals: Shape `[batch, ...]`, of any length but 0.
        energy: The share of the sum of squared singular values of the stacked
            unit normals, in (0, 1].

    Returns:
        The least number of singular values that reach the share.

    Raises:
        ValueError: If an argument isn't as expected.

    Example:
        attack = tfr.attacks.APGD(tfr.threats.L2(3.0))
        near = tfr.analysis.boundary(model, x, y, attack=attack)
        print(tfr.analysis.dimension(near.normals[near.found]))

    Reference: Moosavi-Dezfooli et al., 2017, arXiv 1610.08401.
    """
    checks.positive(energy, "energy", high=1)
    values = np.linalg.svd(_units(normals), compute_uv=False) ** 2
    sums = np.cumsum(values) / values.sum()
    # Normals are float32: what is missing by less is rounding.
    return int(np.sum(sums < energy - 1e-6)) + 1


def _units(normals):
    """Rows of length 1, float64, after checking that they have one."""
    found = rows(normals, "normals")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    fine = bool(np.all(lengths > 0))
    checks.argument(fine, "normals", "have a length", "rows that are 0")
    return found / lengths


def _means(units, classes):
    """Mean cosines of all pairs within classes and across them.

    The cosines of all pairs of a set sum to the square of its sum's length.
    """
    same, pairs = 0.0, 0
    for one in np.unique(classes):
        part = units[classes == one]
        same += _pairs(part)
        pairs += len(part) * (len(part) - 1)
    rest = len(units) * (len(units) - 1) - pairs
    return (
        same / pairs if pairs else np.nan,
        (_pairs(units) - same) / rest if rest else np.nan,
    )


def _pairs(units):
    return float(np.sum(units.sum(axis=0) ** 2) - np.sum(units**2))
