"""Bounds of what a network returns."""

from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.averaging import on_network
from tfrobust.bounds.dense import Dense
from tfrobust.types import Model, TensorLike
from tfrobust.verifiers.bounding import Bounding


@on_network
def bounds(
    model: Model, x: TensorLike, verifier: Bounding
) -> tuple[tf.Tensor, tf.Tensor]:
    """Bounds every output of a network over a threat.

    Args:
        model: Any callable `model(x, training=False) -> outputs`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        verifier: One that bounds what it traces, such as `CROWN`.

    Returns:
        Lower and upper bounds, each of the shape of the outputs.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        TypeError: If `verifier` is none of these.

    Example:
        ```
        verifier = tfr.verifiers.CROWN(tfr.threats.Linf(0.1))
        lower, upper = tfr.verifiers.bounds(model, x, verifier)
        ```
    """
    checks.kind(verifier, Bounding, "verifier", "tfr.verifiers.CROWN(threat)")

    def use(found: Any, _: Any) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = found.trace.output
        forms = Dense.identity(outputs).tensor
        batch = tf.shape(found.x)[0]
        lower = verifier.lower(found, Dense(tf.repeat(forms, batch, axis=0)))
        low, high = Dense.both(outputs, lower)
        return low, -high

    return verifier.traced(model, x, None, use)
