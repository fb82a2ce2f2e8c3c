"""Inputs of a kind that no attack can move: one sentence each."""

import math
from typing import Any

import numpy as np
import tensorflow as tf


def tensor(x: Any) -> tf.Tensor:
    """Returns inputs as a floating point tensor.

    Raises:
        TypeError: If they are ragged, sparse, or several.
        ValueError: If they are strings or whole numbers.
    """
    dense(x, "x")
    x = tf.convert_to_tensor(x)
    if x.dtype == tf.string:
        raise ValueError(
            "`x` must hold numbers. Received strings, which have no gradient. "
            "Attack what the embedding makes of them: "
            "RobustModel(network).from_layer('embedding')."
        )
    if not x.dtype.is_floating:
        mend = "Convert measurements: x.astype('float32')."
        if x.dtype == tf.uint8 or (x.shape.rank or 0) > 2:
            mend = "Scale bytes: x.astype('float32') / 255."
        elif x.dtype in (tf.int32, tf.int64):
            mend += (
                " Of tokens attack what the embedding makes of them: "
                "RobustModel(network).from_layer('embedding')."
            )
        raise ValueError(
            f"`x` must be floating point. Received dtype {x.dtype.name}. {mend}"
        )
    return tf.cast(x, tf.float32)


def dense(x: Any, name: str) -> None:
    """Refuses what isn't one dense array."""
    kind, mend = type(x).__name__, None
    if isinstance(x, tf.RaggedTensor):
        mend = f"Pad it: {name}.to_tensor()."
    elif isinstance(x, tf.SparseTensor):
        mend = f"Fill it with zeros: tf.sparse.to_dense({name})."
    elif hasattr(x, "toarray"):
        mend = f"Fill it with zeros: {name}.toarray()."
    elif isinstance(x, dict) or _several(x):
        mend = (
            "Of several inputs make one: tfr.Joined(network), whose `join` "
            "makes an array of them."
        )
    if mend:
        raise TypeError(
            f"`{name}` must be one dense array. Received: {kind}. {mend}"
        )


def _several(x):
    """Whether it is a list of arrays."""
    listed = isinstance(x, (list, tuple))
    return listed and any(len(getattr(p, "shape", ())) > 1 for p in x)


def range_shown(low: Any, high: Any) -> str:
    """A valid range as a sentence shows it."""
    if np.ndim(low) == 0 and np.ndim(high) == 0:
        return f"[{low:g}, {high:g}]"
    finite = [np.min(low), np.max(high)]
    ends = " to ".join("inf" if math.isinf(v) else f"{v:g}" for v in finite)
    return f"a range of each feature, {ends} in all"
