"""The forms in which data comes."""

import numpy as np
import tensorflow as tf

from tfrobust import checks


def check_pair(data):
    """Refuses data whose inputs and labels come apart."""
    dataset = isinstance(data, tf.data.Dataset)
    if not dataset and not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(
            "`data` must be a pair of inputs and labels, or a tf.data.Dataset. "
            f"Received: {type(data).__name__}. Pass both as one argument, in "
            "parentheses: tfr.evaluate(model, (x, y), adversaries)."
        )


def batches(data, batch_size):
    """Batches of `(x, y)`, and how many there are if that is known.

    Args:
        data: A pair of arrays, or a batched `tf.data.Dataset` of `(x, y)`.
        batch_size: Number of examples in a batch of arrays.
    """
    if isinstance(data, tf.data.Dataset):
        if data.element_spec[1].shape.rank == 0:
            raise ValueError(
                "`data` must come in batches: pass dataset.batch(128). "
                f"Received: {data.element_spec}"
            )
        total = int(data.cardinality())
        return data, total if total > 0 else None
    x, y = data
    if len(x) != len(y):
        raise ValueError(
            "`x` and `y` must have the same length. Received: "
            f"{len(x)} inputs and {len(y)} labels."
        )
    starts = range(0, len(x), batch_size)
    parts = ((x[i : i + batch_size], y[i : i + batch_size]) for i in starts)
    return parts, len(starts)


def arrays(data):
    """All of the data as one pair of arrays."""
    if isinstance(data, tf.data.Dataset):
        parts = [(np.asarray(x), np.asarray(y)) for x, y in data]
        data = [np.concatenate(part) for part in zip(*parts, strict=True)]
    x, y = data
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "`data` must hold as many labels as inputs, at least one. "
            f"Received: {len(x)} inputs and {len(y)} labels."
        )
    return np.asarray(x), np.asarray(y)


def labelled(data, threat, network):
    """Returns inputs, float32, and labels, int32 `[n]`, after checking them.

    Args:
        data: See `arrays`.
        threat: The `Threat` in whose range the inputs lie.
        network: Callable of logits, of which the labels are classes.
    """
    x, y = arrays(data)
    threat.checked(x)
    x = x.astype(np.float32)
    classes = network(x[:1], training=False).shape[-1]
    y = np.reshape(y, [len(y), -1])
    return x, np.asarray(checks.labels(y, tf.zeros([len(x), classes])))
