"""The forms in which data comes."""

import sys

import numpy as np
import tensorflow as tf

from tfrobust import checks, kinds
from tfrobust.verifiers import Specification


def check_pair(data):
    """Refuses data that doesn't come as inputs and labels."""
    if isinstance(data, tf.data.Dataset):
        _check_elements(data.element_spec)
    elif not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(
            "`data` must be a pair of inputs and labels, or a tf.data.Dataset. "
            f"Received: {type(data).__name__}. Pass both as one argument, in "
            "parentheses: tfr.evaluate(model, (x, y), adversaries)."
        )


def batches(data, batch_size):
    """Batches of arrays that hold examples, and how many if that is known.

    Labels have the shape `[batch, 1]`, unless they are wrong.

    Args:
        data: A pair of arrays, or a batched `tf.data.Dataset` of `(x, y)`.
        batch_size: Number of examples in a batch of arrays.
    """
    check_pair(data)
    checks.count(batch_size, "batch_size")
    if isinstance(data, tf.data.Dataset):
        total = int(data.cardinality())
        if total == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`data` must end. Received a dataset that repeats for ever. "
                "Leave out its `repeat`, or take a part: dataset.take(100)."
            )
        return _pairs(data), total if total > 0 else None
    for name, part in zip("xy", data, strict=True):
        kinds.dense(part, name)
        if np.ndim(part) == 0:
            raise TypeError(
                f"`{name}` must be an array with a row for each example. "
                f"Received: {part!r}"
            )
    x, y = data
    if len(x) != len(y):
        raise ValueError(
            "`data` must hold as many labels as inputs. Received: "
            f"{len(x)} inputs and {len(y)} labels."
        )
    starts = range(0, len(x), batch_size)
    parts = ((x[i : i + batch_size], y[i : i + batch_size]) for i in starts)
    return _pairs(parts), len(starts)


def specified(data):
    """Data with labels in place of a specification, and that or None.

    The labels are those of `Clauses`: the last class wins where it holds.

    Raises:
        ValueError: If it has rows of their own for other examples.
    """
    pair = isinstance(data, (tuple, list)) and len(data) == 2
    if not pair or not isinstance(data[1], Specification):
        return data, None
    x, specification = data
    rows = specification.rows
    fits = rows.ndim == 2 or len(rows) == len(x)
    expected = f"hold rows of all examples, or of each of {len(x)}"
    checks.argument(fits, "data", expected, f"rows of the shape {rows.shape}")
    y = np.full(len(x), len(specification.clauses))
    return (x, y), specification


def most(data):
    """The most examples that a batch may have; of a dataset nobody knows."""
    return sys.maxsize if isinstance(data, tf.data.Dataset) else len(data[0])


def arrays(data):
    """All of the data as one pair of arrays."""
    parts, _ = batches(data, sys.maxsize)
    held = [*zip(*parts, strict=True)]
    if not held:
        raise ValueError("`data` must hold at least one example.")
    x, y = (np.concatenate(part) for part in held)
    return x, y


def _check_elements(spec):
    """Refuses a dataset whose elements aren't batches of two tensors."""
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(
            "`data` must be a dataset of pairs (x, y). Received elements of: "
            f"{spec}. Of pairs with weights, map lambda x, y, weight: (x, y)."
        )
    if not all(isinstance(part, tf.TensorSpec) for part in spec):
        raise ValueError(
            "`data` must be a dataset of pairs of tensors (x, y). Received "
            f"elements of: {spec}."
        )
    if spec[1].shape.rank == 0:
        raise ValueError(
            "`data` must come in batches: pass dataset.batch(128). "
            f"Received: {spec}"
        )


def _pairs(parts):
    """Those that hold any examples, as arrays."""
    for x, y in parts:
        x, y = np.asarray(x), np.asarray(y)
        if y.dtype.kind not in "biuf":
            raise ValueError(
                "`y` must hold class labels that are numbers. Received dtype "
                f"{y.dtype.name}. Number the classes: "
                "np.unique(y, return_inverse=True)[1]."
            )
        if len(x) != len(y):
            raise ValueError(
                "`data` must hold as many labels as inputs. Received a batch "
                f"of {len(x)} inputs and {len(y)} labels."
            )
        if len(x):
            yield x, np.reshape(y, [len(y), -1])


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
    return x, np.asarray(checks.labels(y, tf.TensorSpec([len(x), classes])))
