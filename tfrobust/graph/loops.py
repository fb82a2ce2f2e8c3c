"""Loops whose number of steps is known, step by step, and lists in them."""

import functools
from typing import Any

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.counts import settled
from tfrobust.graph.node import Node

LOOPS = {"StatelessWhile", "While"}


class Elements:
    """A list of tensors, as TensorArrays are in graphs.

    Attributes:
        items: For each element a `Node`, what it is for one example and for
            two, or None before it is written.
        shape: None, as no tensor's shape is a list's.
        batched: False.
    """

    shape = None
    batched = False

    def __init__(self, items: list) -> None:
        self.items = items


def unroll(frame: Any, op: tf.Operation) -> bool:
    """Sweeps the body of a loop once for each of its steps.

    Args:
        frame: The `Frame` that the loop stands in; it learns what the loop
            returns.
        op: The loop.

    Returns:
        Whether the number of steps is known.
    """
    condition, body = (
        op.graph._get_function(op.get_attr(name).name).graph
        for name in ("cond", "body")
    )
    state = [frame.passed(tensor) for tensor in op.inputs]
    while True:
        question = frame.inside(condition, state).resolve(condition.outputs[0])
        goes_on = settled(question) if tf.is_tensor(question) else None
        if goes_on is None:
            return False
        if not goes_on:
            break
        step = frame.inside(body, state)
        step.sweep(body.get_operations())
        state = [step.passed(tensor) for tensor in body.outputs]
    for output, value in zip(op.outputs, state, strict=True):
        frame.give(output, value)
    return True


def on_lists(frame: Any, op: tf.Operation) -> bool:
    """What an op on lists returns, if it is known which elements it reads.

    Args:
        frame: The `Frame` that it stands in; it learns what the op returns.
        op: An op, of any type.
    """
    work = _WORK.get(op.type)
    return work is not None and work(frame, op)


def _reserved(frame, op):
    count = _number(frame, op.inputs[1])
    if count is not None:
        frame.give(op.outputs[0], Elements([None] * count))
    return count is not None


def _parted(frame, op):
    """The elements of a tensor along its first axis."""
    tensor, source = op.inputs[0], frame.passed(op.inputs[0])
    if not isinstance(source, Node) or None in (
        tensor.shape.rank,
        *tensor.shape[:1],
    ):
        return False
    items = []
    for k in range(tensor.shape[0]):
        item = frame.node(tensor, [], tensor.shape[1:])
        become(item, "ListItem", [source], functools.partial(_at, k), detail=k)
        items.append(item)
    frame.give(op.outputs[0], Elements(items))
    return True


def _at(place, value):
    return value[place]


def _picked(frame, op):
    given, place = frame.passed(op.inputs[0]), _number(frame, op.inputs[1])
    if not isinstance(given, Elements) or place is None:
        return False
    if not 0 <= place < len(given.items) or given.items[place] is None:
        return False
    frame.give(op.outputs[0], given.items[place])
    return True


def _written(frame, op):
    given, place = frame.passed(op.inputs[0]), _number(frame, op.inputs[1])
    if not isinstance(given, Elements) or place is None:
        return False
    if not 0 <= place < len(given.items):
        return False
    items = list(given.items)
    items[place] = frame.passed(op.inputs[2])
    frame.give(op.outputs[0], Elements(items))
    return True


def _stacked(frame, op):
    given, (tensor,) = frame.passed(op.inputs[0]), op.outputs
    if not isinstance(given, Elements):
        return False
    if not all(isinstance(item, Node) for item in given.items):
        return False
    node = frame.node(tensor, [], tensor.shape)
    become(node, "ListStack", given.items, lambda *items: tf.stack(items))
    frame.give(tensor, node)
    return True


def _number(frame, tensor):
    """An integer that is known; else None."""
    value = frame.resolve(tensor)
    known = settled(value) if tf.is_tensor(value) else None
    return None if known is None or known.size != 1 else int(known)


_WORK = {
    "TensorListFromTensor": _parted,
    "TensorListGetItem": _picked,
    "TensorListReserve": _reserved,
    "TensorListSetItem": _written,
    "TensorListStack": _stacked,
}
