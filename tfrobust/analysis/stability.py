"""How far maps stay the same near an input."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.analysis.maps import attributed, cosines, rows
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.saliency import saliency
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.threats import Threat
from tfrobust.types import Model, TensorLike


class Stability(NamedTuple):
    """How alike the maps at x and at a point nearby are.

    Attributes:
        cosine: Of the two maps, shape `[batch]`; NaN where one is 0.
        overlap: Share of the features of largest magnitude of one that are
            among those of the other, shape `[batch]`.
    """

    cosine: np.ndarray
    overlap: np.ndarray


@on_network
def stability(
    model: Model,
    x: TensorLike,
    near: Threat | Attack,
    y: TensorLike | None = None,
    attribution: Callable[..., Any] = saliency,
    top: float = 0.05,
    batch_size: int = 128,
    seed: int = 0,
) -> Stability:
    """Compares the maps of each input with those of a point nearby.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        near: A `Threat`, of which a random point at distance epsilon is
            taken, then clipped to the valid range; or an `Attack`, which finds
            the point.
        y: Integer labels, shape `[batch]`; None for those predicted at x. Both
            maps are of this class.
        attribution: Function `(model, x, y) -> maps`.
        top: Fraction of features to compare, in (0, 1].
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys the random points.

    Returns:
        A `Stability`.

    Raises:
        TypeError: If `near` is neither a threat nor an attack.
        ValueError: If another argument isn't as expected.

    Example:
        `tfr.analysis.stability(model, x, tfr.threats.L2(0.5)).cosine.mean()`

    Reference: Ghorbani et al., 2019, arXiv 1710.10547.
    """
    if not isinstance(near, (Threat, Attack)):
        checks.kind(near, Threat, "near", "tfr.threats.L2(0.5), or an Attack")
    checks.positive(top, "top", high=1)
    x, y = problem(model, x, y, batch_size)
    threat = near.threat if isinstance(near, Attack) else near
    threat.checked(x)

    def moved(x, y):
        if isinstance(near, Attack):
            return near.perturb(model, x, y)
        # Rounding may lead out of the range.
        return tf.clip_by_value(near.sphere(x, seed), near.low, near.high)

    points = in_batches(moved, batch_size, x, y)
    one, other = (
        rows(attributed(attribution, model, at, y)) for at in (x, points)
    )
    return Stability(cosines(one, other), _overlap(one, other, top))


def _overlap(one, other, top):
    """The share that the largest features of each have in common."""
    count = max(1, round(top * one.shape[1]))
    first, second = (
        np.argsort(-np.abs(part), axis=1, kind="stable")[:, :count]
        for part in (one, other)
    )
    common = [
        len(np.intersect1d(*pair)) for pair in zip(first, second, strict=True)
    ]
    return np.array(common) / count
