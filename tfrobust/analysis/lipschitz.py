"""How fast a margin can change: a bound from above, and what was found."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.analysis.maps import divided
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.saliency import runner_up, score_gradient
from tfrobust.averaging import on_network
from tfrobust.bounds.dense import Dense
from tfrobust.threats import L2
from tfrobust.threats.rows import flat
from tfrobust.types import Model, TensorLike
from tfrobust.verifiers import Lipschitz


class LipschitzConstants(NamedTuple):
    """Both ends of the Lipschitz constant of each example's margin.

    Print it for a table.

    Attributes:
        lower: The longest gradient of `z_y - z_j` that was found within the
            threat, j being the best other class at x, shape `[batch]`.
        upper: The product of singular values, which holds everywhere, of the
            same two logits, shape `[batch]`.
    """

    lower: np.ndarray
    upper: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """`upper / lower`: 1 if both are exact; NaN where nothing was found."""
        return divided(self.upper, self.lower)

    def __str__(self) -> str:
        lines = [f"{'':14}{'mean':>12}{'median':>12}{'max':>12}"]
        for name in ("lower", "upper", "ratio"):
            values = getattr(self, name)
            shown = np.nanmean(values), np.nanmedian(values), np.nanmax(values)
            numbers = "".join(f"{value:12.4g}" for value in shown)
            lines.append(f"{name:14}{numbers}")
        return "\n".join(lines)


@on_network
def lipschitz(
    model: Model,
    x: TensorLike,
    threat: L2,
    y: TensorLike | None = None,
    draws: int = 20,
    batch_size: int = 128,
    seed: int = 0,
) -> LipschitzConstants:
    """Bounds the Lipschitz constant of margins from above and from below.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits` whose activations `verifiers.Lipschitz` knows.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        threat: The `L2` threat within which gradients are looked for.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        draws: Number of random points around each input at which to look, at
            least 1. The input itself comes on top.
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys the points.

    Returns:
        `LipschitzConstants`, in units of the logits over those of x.

    Raises:
        NotImplementedError: If the largest slope of an activation isn't known.
        TypeError: If `threat` isn't an `L2` threat.
        ValueError: If another argument isn't as expected.

    Example:
        `print(tfr.analysis.lipschitz(model, x, tfr.threats.L2(0.3), y))`

    Reference: Szegedy et al., 2014, arXiv 1312.6199, section 4.3; from below:
    Weng et al., 2018, arXiv 1801.10578.
    """
    verifier = Lipschitz(threat)
    checks.count(draws, "draws")
    x, y = problem(model, x, y, batch_size)
    threat.checked(x)
    pairs = np.asarray(verifier.traced(model, x[:1], None, _of_pairs))

    def longest(x, y):
        other = runner_up(model, x, y)
        found = _length(model, x, y, other)
        for draw in range(draws):
            point = threat.sample(x, seed + draw)
            found = tf.maximum(found, _length(model, point, y, other))
        return found, other

    lower, other = in_batches(longest, batch_size, x, y)
    return LipschitzConstants(lower, pairs[y, other])


def _of_pairs(bounds, _):
    """Constants of the differences of all pairs of outputs."""
    count = bounds.trace.output.size
    eye = tf.eye(count)
    forms = tf.reshape(eye[:, tf.newaxis] - eye, [1, -1, count])
    return tf.reshape(bounds.constant(Dense(forms)), [count, count])


def _length(model, x, y, other):
    _, gradient = score_gradient(model, x, y, other)
    return tf.norm(flat(gradient), axis=1)
