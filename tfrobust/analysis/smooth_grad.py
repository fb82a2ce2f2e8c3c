"""Gradients averaged over noise."""

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.saliency import score_gradient
from tfrobust.averaging import on_network
from tfrobust.threats import arguments
from tfrobust.types import Model, TensorLike


@on_network
def smooth_grad(
    model: Model,
    x: TensorLike,
    y: TensorLike | None = None,
    samples: int = 50,
    sigma: float = 0.15,
    low: float = 0.0,
    high: float = 1.0,
    batch_size: int = 128,
    seed: int = 0,
) -> np.ndarray:
    """The mean of `saliency` at inputs with Gaussian noise.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`; None for those predicted at x.
        samples: Number of draws.
        sigma: Standard deviation of the noise, a fraction of `high - low`. The
            sum isn't clipped to that range.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys the noise.

    Returns:
        Maps of x's shape, float32.

    Raises:
        ValueError: If an argument isn't as expected, or no gradient reaches
            the model's input.

    Example:
        `maps = tfr.analysis.smooth_grad(model, x, y, samples=25)`

    Reference: Smilkov et al., 2017, arXiv 1706.03825.
    """
    checks.count(samples, "samples")
    checks.number(sigma, "sigma", 0)
    checks.finite(low=low, high=high)
    arguments.ends(low, high)
    x, y = problem(model, x, y, batch_size)

    def mean(x, y):
        def add(k, total):
            noise = streams.normal(x, streams.fold(seed, k))
            point = x + sigma * (high - low) * noise
            return k + 1, total + score_gradient(model, point, y)[1]

        _, total = tf.while_loop(
            lambda k, _: k < samples, add, (0, tf.zeros_like(x))
        )
        return total / samples

    return in_batches(mean, batch_size, x, y)
