"""Gradients along the line from a baseline to the input."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.saliency import runner_up, score_gradient
from tfrobust.averaging import on_network
from tfrobust.types import Model, TensorLike


class IntegratedGradients(NamedTuple):
    """What `integrated_gradients` found.

    Attributes:
        maps: Attributions, of x's shape, float32.
        error: How far the sum of each map is from the difference of the score
            at x and at the baseline, shape `[batch]`; 0 but for the finite
            number of steps.
    """

    maps: np.ndarray
    error: np.ndarray


@on_network
def integrated_gradients(
    model: Model,
    x: TensorLike,
    y: TensorLike | None = None,
    baseline: TensorLike | str = "black",
    steps: int = 50,
    low: float = 0.0,
    batch_size: int = 128,
) -> IntegratedGradients:
    """Attributes the score `z_y - z_j` by its mean gradient from a baseline.

    The class j is the best one at x but y.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        baseline: Where the line begins: `"black"`, which is `low` everywhere;
            `"mean"`, the mean of x; or an array that broadcasts to x's shape.
        steps: Number of gradients, each in the middle of its part of the line.
        low: Smallest valid value of an input.
        batch_size: Number of examples that are worked on at once.

    Returns:
        An `IntegratedGradients`.

    Raises:
        ValueError: If an argument isn't as expected, or no gradient reaches
            the model's input.

    Example:
        `maps, error = tfr.analysis.integrated_gradients(model, x, y)`

    Reference: Sundararajan et al., 2017, arXiv 1703.01365, proposition
    1 (completeness).
    """
    checks.count(steps, "steps")
    checks.number(low, "low")
    x, y = problem(model, x, y, batch_size)
    start = _start(baseline, x, low)

    def integrated(x, y, start):
        other = runner_up(model, x, y)

        def slope(point):
            return score_gradient(model, point, y, other)

        def add(k, total):
            share = (tf.cast(k, tf.float32) + 0.5) / steps
            point = start + share * (x - start)
            return k + 1, total + slope(point)[1]

        _, total = tf.while_loop(
            lambda k, _: k < steps, add, (0, tf.zeros_like(x))
        )
        ends = [slope(point)[0] for point in (x, start)]
        return (x - start) * total / steps, ends[0] - ends[1]

    maps, gain = in_batches(integrated, batch_size, x, y, start)
    total = maps.reshape(len(x), -1).sum(axis=1, dtype=np.float64)
    return IntegratedGradients(maps, np.abs(total - gain))


def _start(baseline: Any, x: np.ndarray, low: float) -> np.ndarray:
    """The baseline of each input, of x's shape."""
    if isinstance(baseline, str):
        expected = 'be "black", "mean" or an array'
        known = baseline in ("black", "mean")
        checks.argument(known, "baseline", expected, repr(baseline))
        given = np.float32(low) if baseline == "black" else x.mean(axis=0)
    else:
        given = np.asarray(baseline, np.float32)
    try:
        return np.ascontiguousarray(np.broadcast_to(given, x.shape))
    except ValueError:
        checks.argument(
            False, "baseline", f"broadcast to x's shape {x.shape}", given
        )
        raise
