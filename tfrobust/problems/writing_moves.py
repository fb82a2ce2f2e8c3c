"""How ops that move values are written as nodes of ONNX."""

from typing import Any

import numpy as np

from tfrobust.graph import Node
from tfrobust.problems.onnx_graph import Graph, Value


def constant(node: Node, position: int) -> Any:
    """The value of an input that doesn't depend on the network's."""
    return np.asarray(node.inputs[position])


def reshape(graph: Graph, node: Node) -> Value:
    """Another shape of one example."""
    shape = graph.constant(np.array([1, *node.shape]))
    return Value(graph.add("Reshape", graph.read(node.dependent[0]), shape))


def transpose(graph: Graph, node: Node) -> Value:
    """Another order of the axes."""
    order = [int(axis) for axis in constant(node, 1)]
    read = graph.read(node.dependent[0])
    return Value(graph.add("Transpose", read, perm=order))


def concat(graph: Graph, node: Node) -> Value:
    """Values, and constants among them, along an axis."""
    axis = int(constant(node, len(node.inputs) - 1)) % (len(node.shape) + 1)
    names = []
    for position, given in enumerate(node.inputs[:-1]):
        if isinstance(given, Node):
            names.append(graph.read(given))
        else:
            names.append(graph.constant(constant(node, position)))
    return Value(graph.add("Concat", *names, axis=axis))


def pad(graph: Graph, node: Node) -> Value:
    """Constants around a value."""
    pads = graph.constant(constant(node, 1).T.ravel().astype(np.int64))
    value = constant(node, 2) if node.type == "PadV2" else np.float32(0)
    given = graph.read(node.dependent[0]), pads, graph.constant(value)
    return Value(graph.add("Pad", *given))


def split(graph: Graph, node: Node) -> Value:
    """One of the parts of equal length."""
    axis = int(constant(node, 0)) % (len(node.shape) + 1)
    given, length = node.dependent[0], node.shape[axis - 1]
    return Value(_slice(graph, given, axis, node.index * length, length))


def sorted_pairs(graph: Graph, node: Node) -> Value:
    """The larger and the smaller of the halves of what is read first."""
    axis, given = node.op.detail, node.dependent[0]
    length = node.shape[axis - 1] // 2
    halves = [_slice(graph, given, axis, k * length, length) for k in (0, 1)]
    pair = [graph.add(name, *halves) for name in ("Max", "Min")]
    return Value(graph.add("Concat", *pair, axis=axis))


def _slice(graph, node, axis, start, length):
    ends = (np.array([k]) for k in (start, start + length, axis))
    return graph.add("Slice", graph.read(node), *map(graph.constant, ends))
