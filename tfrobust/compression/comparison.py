"""Copies answer like what they were copied from."""

from typing import Any

import numpy as np
import tensorflow as tf

# Inputs as threats have them: in [0, 1], around 0, and bytes.
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


def compare(model: Any, copy: Any, tolerance: float = 1e-5) -> None:
    """Refuses a copy whose outputs differ by more than roundings.

    Args:
        model: A functional or Sequential model.
        copy: What was made of it, of either Keras.
        tolerance: Largest difference, as a fraction of the largest output or,
            if that is larger, of 1.

    Raises:
        ValueError: If an output differs, or one is NaN.
    """
    for low, high in _RANGES:
        x = _probes(model, low, high)
        outputs = np.asarray(model(x, training=False), np.float32)
        found = np.asarray(copy(x, training=False), np.float32)
        # Equal infinities differ by NaN.
        gap = np.where(found == outputs, 0.0, np.abs(found - outputs))
        gap = np.max(gap, initial=0.0)
        finite = np.abs(outputs[np.isfinite(outputs)])
        scale = np.max(finite, initial=1.0)
        if not gap <= tolerance * scale:
            raise ValueError(
                f"The outputs of the copy differ by {gap:.3g}, of magnitude "
                f"{scale:.3g}, so it was not kept. Does {model.name!r} have "
                "layers that are random, or that hold what is neither a "
                "weight nor in their `get_config`?"
            )


def _probes(model, low, high):
    """Random inputs, with 32 for a size that is open."""
    random = np.random.default_rng(0)

    def drawn(tensor):
        batch, *rest = tensor.shape
        shape = [batch or 4, *(size or 32 for size in rest)]
        dtype = tf.as_dtype(tensor.dtype)
        if dtype.is_floating:
            values = low + random.random(shape) * (high - low)
            return tf.constant(values, dtype)
        # Any network that takes whole numbers takes these.
        bits = tf.constant(random.integers(0, 2, shape))
        if dtype == tf.string:
            return tf.strings.as_string(bits)
        return tf.cast(bits, dtype)

    # A Sequential model of Keras 3 doesn't know its `input`.
    single = len(model.inputs) == 1
    given = model.inputs[0] if single else model.input
    return tf.nest.map_structure(drawn, given)
