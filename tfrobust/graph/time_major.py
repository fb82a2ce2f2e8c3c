"""Steps of a sequence, for which Keras puts the time first.

Unrolled by Keras they are slices and packs; of a loop, items of a list.
"""

from functools import partial

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node


def fuse(node: Node) -> None:
    """Recognises a step of `Transpose(x)`, and `Transpose(Pack(steps))`."""
    if node.type == "Transpose" and _swaps(node):
        _stacked(node)
    elif node.type in _PLACES and node.positions == [0]:
        _picked(node)


def _picked(node):
    """Step k of a sequence whose time was put first: `x[:, k]`."""
    given, place = node.inputs[0], _PLACES[node.type](node)
    if given.type == "ListStack" and place is not None:
        become(node, "Same", [given.inputs[place]], tf.identity)
        return
    backwards = _reverses(given)
    if backwards:
        given = given.inputs[0]
    if given.type != "Transpose" or not _swaps(given):
        return
    source = given.inputs[0]
    if place is None or source.shape is None or node.shape is None:
        return
    if node.shape != source.shape[1:] or not source.batched:
        return
    if not -source.shape[0] <= place < source.shape[0]:
        return
    if backwards:
        place = -1 - place
    become(node, "Step", [source], partial(step, place))


def _stacked(node):
    """Steps that are stacked, and then put behind the batch."""
    steps = node.inputs[0]
    if steps.type != "ListStack" and (
        steps.type != "Pack" or steps.op.get_attr("axis") != 0
    ):
        return
    if len(steps.dependent) < len(steps.inputs):
        return
    shapes = {(step.shape, step.batched) for step in steps.inputs}
    if shapes != {(node.shape and node.shape[1:], True)}:
        return
    become(node, "Steps", steps.inputs, stack)


def step(place: int, value: tf.Tensor) -> tf.Tensor:
    """A step of sequences `[batch, steps, ...]`."""
    return value[:, place]


def stack(*values: tf.Tensor) -> tf.Tensor:
    """Sequences of steps, each `[batch, ...]`."""
    return tf.stack(values, 1)


def _swaps(node):
    """Whether the first two axes change places, and no other."""
    order = node.constant(1)
    if order is None or node.positions != [0]:
        return False
    return order.tolist() == [1, 0, *range(2, len(order))]


def _reverses(node):
    """Whether it turns the order of steps round, and no other."""
    if node.type != "ReverseV2" or node.positions != [0]:
        return False
    axes = node.constant(1)
    return axes is not None and axes.tolist() == [0]


def _unpacked(node):
    return node.index if node.op.get_attr("axis") == 0 else None


def _sliced(node):
    """Which step a slice takes; None if it isn't one step, whole."""
    begin = node.constant(1)
    if begin is None or begin.shape != (1,):
        return None
    masks = [
        node.op.get_attr(f"{name}_mask")
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    ]
    return int(begin[0]) if masks == [0, 0, 0, 0, 1] else None


# By the type of op, which step it takes.
_PLACES = {
    "ListItem": lambda node: node.op.detail,
    "StridedSlice": _sliced,
    "Unpack": _unpacked,
}
