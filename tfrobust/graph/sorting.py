"""Pairs of features that are sorted, recognised whole."""

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node
from tfrobust.graph.parts import part


def fuse(node: Node) -> None:
    """Recognises `concat(max(a, b), min(a, b))` of the halves of a value.

    It stays a sum of the value and of `max(a - b, 0)`, from which it is
    bounded, and is known as what only moves values besides.
    """
    if node.type != "ConcatV2" or len(node.inputs) != 3:
        return
    if node.positions != [0, 1]:
        return
    axis = node.constant(2)
    most, least = node.dependent
    if (most.type, least.type) != ("Maximum", "Minimum") or axis is None:
        return
    first, second = most.inputs
    if {id(given) for given in least.inputs} != {id(first), id(second)}:
        return
    if not _halves_of_one(first, second, int(axis), len(node.shape or ())):
        return
    gap = part(node, "Sub", [first, second], tf.subtract, first.shape)
    gap = part(node, "Relu", [gap], tf.nn.relu, first.shape)
    axis = int(axis) % (len(node.shape) + 1)

    def from_gap(x, gap):
        first, second = tf.split(x, 2, axis)
        return tf.concat([second + gap, first - gap], axis)

    become(node, "MinMax", [first.inputs[1], gap], from_gap, detail=axis)


def _halves_of_one(first, second, axis, rank):
    """Whether they are the first and second half of a value, along the axis."""
    for index, half in enumerate((first, second)):
        if not isinstance(half, Node) or half.type != "Split":
            return False
        along = half.constant(0)
        if half.index != index or half.op.get_attr("num_split") != 2:
            return False
        if along is None or (int(along) - axis) % (rank + 1):
            return False
    return first.op is second.op and first.inputs[1] is second.inputs[1]


def in_pairs(x: tf.Tensor, axis: int) -> tf.Tensor:
    """What a node of type "MinMax" computes, of any value."""
    first, second = tf.split(x, 2, axis)
    pair = [tf.maximum(first, second), tf.minimum(first, second)]
    return tf.concat(pair, axis)
