"""Bounds of what a network returns, from one number."""

import numpy as np

from tfrobust import checks, verifiers
from tfrobust.threats.norms import threat_of
from tfrobust.types import Model, TensorLike


def bounds(
    model: Model,
    x: TensorLike,
    epsilon: TensorLike,
    norm: str = "linf",
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds every output of a model around inputs, by CROWN.

    `tfr.verifiers.bounds` does it by other verifiers and over other threats.

    Args:
        model: A `RobustModel`, or any callable
            `model(x, training=False) -> outputs`.
        x: Inputs in [0, 1], shape `[batch, ...]`.
        epsilon: Radius in the units of x.
        norm: `"linf"`, `"l2"` or `"l1"`.

    Returns:
        Lower and upper bounds, each of the shape of the outputs.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        ValueError: If x, epsilon or the norm aren't as expected.

    Example:
        `lower, upper = tfr.bounds(model, x_test[:8], epsilon=0.01)`
    """
    checks.fits(np.shape(x)[1:], getattr(model, "network", model))
    verifier = verifiers.CROWN(threat_of(epsilon, norm))
    lower, upper = verifiers.bounds(model, x, verifier)
    return np.asarray(lower), np.asarray(upper)
