"""Means and variances of each example, where Keras takes them in other words.

GroupNormalization weighs all values alike; LayerNormalization has a batch
normalisation whose channels are rows of examples.
"""

import math

import numpy as np
import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node
from tfrobust.graph.pairs import are_known
from tfrobust.graph.parts import part


def fuse(node: Node) -> None:
    """Recognises a mean whose weights are 1, and a normalisation of rows."""
    if node.type == "DivNoNan":
        _weighted(node)
    elif node.type == "Reshape" and node.inputs[0].type == "FusedBatchNormV3":
        _rows(node, node.inputs[0])


def _weighted(node):
    """`sum(w * x) / sum(w)`, where all weights are 1."""
    total, count = node.inputs[0], node.constant(1)
    if node.positions != [0] or total.type != "Sum" or total.positions != [0]:
        return
    weighted, axes = total.dependent[0], total.inputs[1]
    if weighted.type != "Mul" or len(weighted.dependent) != 1 or count is None:
        return
    (x,), (weights,) = weighted.dependent, _constants(weighted)
    if weights is None or not np.all(weights == 1) or not x.shape:
        return
    if x.shape != weighted.shape or not np.all(count * total.size == x.size):
        return
    kept = total.op.get_attr("keep_dims")

    def mean(x, axes):
        return tf.reduce_mean(x, axes, keepdims=kept)

    become(node, "Mean", [x, axes], mean)


def _constants(node):
    """Values of what an op reads that doesn't depend on the input."""
    places = set(range(len(node.inputs))) - set(node.positions)
    return [node.constant(place) for place in places]


def _rows(node, normed):
    """The channels of `[1, rows, width, 1]` by their mean and variance."""
    merged, op = normed.inputs[0], normed.op
    if normed.index or normed.positions != [0] or merged.type != "Reshape":
        return
    if op.get_attr("data_format") != b"NCHW" or not op.get_attr("is_training"):
        return
    ones, zeros = op.inputs[1:3]
    if not (_filled(ones, 1) and _filled(zeros, 0)):
        return
    whole = merged.inputs[0]
    axes = _width(whole, merged.target)
    if axes is None or node.shape != whole.shape or not whole.batched:
        return
    kept = (*whole.shape[: -len(axes)], *(1 for _ in axes))

    def mean(x, axes):
        return tf.reduce_mean(x, axes, keepdims=True)

    axes, epsilon = tf.constant(axes), tf.constant(op.get_attr("epsilon"))
    middle = part(node, "Mean", [whole, axes], mean, kept)
    gap = part(node, "Sub", [whole, middle], tf.subtract)
    square = part(node, "Square", [gap], tf.square)
    variance = part(node, "Mean", [square, axes], mean, kept)
    above = part(node, "AddV2", [variance, epsilon], tf.add, kept)
    inverse = part(node, "Rsqrt", [above], tf.math.rsqrt, kept)
    become(node, "Mul", [gap, inverse], tf.multiply)


def _width(whole, target):
    """The last axes of a value whose values lie in one row; None if none do."""
    if not whole.shape or None in whole.shape:
        return None
    if not isinstance(target, tuple) or not are_known(*target):
        return None
    one, two = (value.numpy().tolist() for value in target)
    if len(one) != 4 or two != [1, 2 * one[1], one[2], 1] or one[::3] != [1, 1]:
        return None
    rank = len(whole.shape)
    for first in range(rank - 1, -1, -1):
        if math.prod(whole.shape[first:]) == one[2]:
            return list(range(first + 1, rank + 1))
    return None


def _filled(tensor, number):
    """Whether all of a tensor's values are this number, however many."""
    if tensor.op.type == "Fill":
        tensor = tensor.op.inputs[1]
    value = tf.get_static_value(tensor)
    return value is not None and bool(np.all(value == number))
