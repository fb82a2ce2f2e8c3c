"""What follows from constants alone: counts, comparisons, what is moved."""

from typing import Any

import tensorflow as tf

from tfrobust.graph.node import BODIES, rerun
from tfrobust.graph.purity import refuse_random


def computed(
    op: tf.Operation, inputs: list, seen: dict | None = None
) -> list | None:
    """What an op counts, compares or only moves, at once.

    Args:
        op: An op.
        inputs: What it reads.
        seen: What was found of other ops, which grows.

    Returns:
        Its outputs, constants; None if it works on other numbers, or an input
        isn't known.
    """
    calls = any(attribute.type in BODIES for attribute in op.op_def.attr)
    if calls or not inputs or not all(map(_told, op.outputs)):
        return None
    known = [settled(given, seen) for given in inputs]
    if any(value is None for value in known):
        return None
    refuse_random(op)
    with tf.init_scope():
        outputs = rerun(op, [tf.constant(value) for value in known])
    return [tf.constant(output.numpy()) for output in outputs]


def settled(tensor: tf.Tensor, seen: dict | None = None) -> Any:
    """The value of a tensor as far as constants tell it, else None."""
    value = tf.get_static_value(tensor)
    if value is not None or not _told(tensor):
        return value
    op, seen = tensor.op, {} if seen is None else seen
    if op not in seen:
        seen[op] = computed(op, list(op.inputs), seen)
    return seen[op] and tf.get_static_value(seen[op][tensor.value_index])


def _told(tensor):
    counts = tensor.dtype.is_integer or tensor.dtype.is_bool
    return counts or tensor.op.type == "ExpandDims"
