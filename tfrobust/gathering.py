"""Some examples of a batch, with all that belongs to them."""

from typing import Any

import tensorflow as tf

from tfrobust.configurable import Configurable


def gathered(index: tf.Tensor, x: tf.Tensor, values: Any) -> Any:
    """Returns what belongs to some of the examples.

    Args:
        index: Which ones, shape `[some]`.
        x: Inputs of all, shape `[batch, ...]`, by which a value for each
            example is told from one for all.
        values: Nested: tensors, shape `[batch, ...]`; what is `Configurable`,
            of which that is gathered, in its parts too, which it lists in
            `per_example`; and None, which stays.
    """

    def some(value):
        if value is None:
            return None
        if isinstance(value, Configurable):
            return _configured(value, index, x)
        return tf.gather(value, index)

    return tf.nest.map_structure(some, values)


def _configured(value, index, x):
    """Gathers in a part, or in named parts."""
    if isinstance(value, dict):
        return {key: _configured(part, index, x) for key, part in value.items()}
    if not isinstance(value, Configurable):
        return value
    parts = _configured(vars(value), index, x)
    for name in value.per_example:
        parts[name] = _values(parts[name], index, x)
    return value._replace(**parts)


def _values(value, index, x):
    """Gathers one value, or one input's shape of them, for each example."""
    if len(getattr(value, "shape", ())) not in (1, len(x.shape)):
        return value
    shape = tf.concat([tf.shape(x)[:1], tf.shape(value)[1:]], 0)
    return tf.gather(tf.broadcast_to(value, shape), index)
