"""What every analysis of examples begins with: checks, and batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.analysis.traced import traced
from tfrobust.types import Model, TensorLike


def problem(
    model: Model, x: TensorLike, y: TensorLike | None, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs, float32, and labels, int32 `[batch]`, once checked.

    Args:
        model: Callable of logits.
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        batch_size: Number of examples that are worked on at once.

    Raises:
        ValueError: If an argument isn't as expected.
    """
    checks.count(batch_size, "batch_size")
    x = floats(x, "x")
    logits = model(tf.constant(x[:1]), training=False)
    if y is None:
        y = predicted(model, x, batch_size)
    spec = tf.TensorSpec([len(x), *logits.shape[1:]], tf.float32)
    return x, np.asarray(checks.labels(y, spec))


def floats(value: TensorLike, name: str) -> np.ndarray:
    """Returns inputs or maps as float32 `[batch, ...]` after checking them."""
    found = np.asarray(value)
    checks.argument(
        found.ndim >= 2 and found.size > 0 and found.dtype.kind == "f",
        name,
        "be floating point with a row of features for each example, shape "
        "[batch, ...]",
        f"{found.dtype.name} of shape {found.shape}",
    )
    found = found.astype(np.float32)
    fine = bool(np.all(np.isfinite(found)))
    checks.argument(
        fine, name, "hold finite numbers alone", "numbers that aren't"
    )
    return found


def predicted(model: Model, x: np.ndarray, batch_size: int) -> np.ndarray:
    """The class of the largest logit of each input, int32 `[batch]`."""

    def classes(x):
        return tf.argmax(model(x, training=False), -1, tf.int32)

    return in_batches(classes, batch_size, x)


def in_batches(function: Callable, batch_size: int, *arrays: np.ndarray) -> Any:
    """Computes a function of all examples, compiled, a batch at a time.

    Args:
        function: Maps tensors of a batch to a tensor or a tuple of tensors,
            each with a row for each example.
        batch_size: Number of examples in a batch.
        *arrays: With a row for each example.

    Returns:
        An array or a tuple of arrays.
    """
    call = traced(
        function,
        *(tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arrays),
    )
    found = []
    for i in range(0, len(arrays[0]), batch_size):
        batch = (tf.constant(a[i : i + batch_size]) for a in arrays)
        found.append(tf.nest.map_structure(np.array, call(*batch)))
    return tf.nest.map_structure(lambda *rows: np.concatenate(rows), *found)
