"""Ops that are computed of others, by which they are bounded.

Real numbers make no difference between both. What float32 makes of an op is at
least as close to them as what it makes of its parts, whose rounding is allowed
for.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.graph.composite import Composite, become
from tfrobust.graph.node import Node


def fuse(node: Node) -> None:
    """Gives a node the parts that it is computed of, in place."""
    parts = _PARTS.get(node.type)
    if parts and node.shape is not None and node.op.op_def.attr:
        parts(node)


def part(
    node: Node,
    type: str,
    inputs: list,
    function: Callable,
    shape: Any = None,
    detail: Any = None,
) -> Node:
    """A node of its own for a part of another; see `become`."""
    shape = node.shape if shape is None else shape
    op = Composite(type, node, function, detail)
    return Node(op, 0, inputs, shape, node.batched)


def _least(node):
    """`min(x) = -max(-x)`, along axes."""
    if node.positions != [0] or node.inputs[1] is None:
        return
    given, axes = node.inputs
    kept = node.op.get_attr("keep_dims")

    def largest(x, axes):
        return tf.reduce_max(x, axes, keepdims=kept)

    negative = part(node, "Neg", [given], tf.negative, given.shape)
    most = part(node, "Max", [negative, axes], largest)
    become(node, "Neg", [most], tf.negative)


def _quotient(node):
    """`x / y = x * (1 / y)`."""
    if 1 not in node.positions:
        return
    above, below = node.inputs
    inverse = part(node, "Reciprocal", [below], tf.math.reciprocal, below.shape)
    become(node, "Mul", [above, inverse], tf.multiply)


def _cast(node):
    """To a type that has all numbers of float32, and back."""
    first = node.dependent[0]
    if first.type != "Cast":
        return
    types = [other.op.get_attr("DstT") for other in (node, first)]
    if types != [tf.float32, tf.float64]:
        return
    if first.op.get_attr("SrcT") == tf.float32:
        become(node, "Same", first.inputs, tf.identity)


def _extreme(node):
    """`max(x, y) = y + max(x - y, 0)`, and the like for the smaller."""
    if len(node.dependent) != 2:
        return
    first, second = node.dependent
    gap = part(node, "Sub", [first, second], tf.subtract)
    gap = part(node, "Relu", [gap], tf.nn.relu)
    if node.type == "Minimum":
        become(node, "Sub", [first, gap], tf.subtract)
    else:
        become(node, "AddV2", [second, gap], tf.add)


def _square(node):
    """`(x - y)^2` of the difference."""
    gap = part(node, "Sub", node.inputs, tf.subtract)
    become(node, "Square", [gap], tf.square)


_PARTS = {
    "Cast": _cast,
    "Maximum": _extreme,
    "Min": _least,
    "Minimum": _extreme,
    "RealDiv": _quotient,
    "SquaredDifference": _square,
}
