"""Products of more than two axes, which Keras computes row by row."""

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node, readers_of

# They work on each value by itself and have no attribute but their type.
_ELEMENTWISE = {"Elu", "Relu", "Relu6", "Sigmoid", "Softplus", "Tanh"}


def fuse(nodes: list[Node], measured: set[Node]) -> None:
    """Recognises `Reshape(rowwise ops(Reshape(x)))`, which keeps the last axis.

    The rows of all examples become entries of one longer batch, and come back
    to their examples. In between, ops are given the axes of x.

    Args:
        nodes: Every node on a way to the output, each after those it reads.
        measured: Nodes whose shapes were read: rows of several examples have
            other first axes than was then said.
    """
    readers = readers_of(nodes)
    for node in nodes:
        if _merges(node) and node not in measured and readers[node]:
            region = _region(node, readers, measured) or {}
            for inner, width in region.items():
                _lift(inner, node, width)


def _merges(node):
    """Whether a node makes a matrix of a value, which may have as many rows."""
    if node.type != "Reshape" or node.op.outputs[0].shape.rank != 2:
        return False
    given = node.inputs[0]
    if not given.batched or given.shape is None or None in given.shape:
        return False
    # Whether the rows are whole is known, or a product will tell.
    width = node.op.outputs[0].shape[1]
    return len(given.shape) >= 2 and width in (None, given.shape[-1])


def _region(merged, readers, measured):
    """Ops on rows, with how long they make them; None if not all are known."""
    *leading, width = merged.inputs[0].shape
    known = merged.op.outputs[0].shape[1] is not None
    pending = [(reader, merged, width, known) for reader in readers[merged]]
    region: dict = {}
    while pending:
        node, given, width, known = pending.pop()
        if node.type == "Reshape" and known:
            if node.batched and node.shape == (*leading, width):
                continue
            return None
        after = _width(node, given, width, known)
        if after is None or node in measured or not readers[node]:
            return None
        region[node] = after
        pending += [(reader, node, after, True) for reader in readers[node]]
    return region


def _width(node, given, width, known):
    """The length of the rows behind an op on rows of this length, or None."""
    if node.positions != [0] or node.inputs[0] is not given:
        return None
    if node.type == "MatMul":
        kernel = node.inputs[1]
        if kernel is None or not kernel.shape.is_fully_defined():
            return None
        if node.op.get_attr("transpose_a"):
            return None
        ends = kernel.shape.as_list()
        if node.op.get_attr("transpose_b"):
            ends = ends[::-1]
        return ends[1] if ends[0] == width else None
    if node.type == "BiasAdd":
        last = node.op.get_attr("data_format") == b"NHWC"
        return width if last and known else None
    return width if node.type in _ELEMENTWISE and known else None


def _lift(node, merged, width):
    """Gives an op on rows the axes of what was merged."""
    whole, given = merged.inputs[0], node.inputs[0]
    inputs = [whole if given is merged else given, *node.inputs[1:]]
    shape = (*whole.shape[:-1], width)
    node.batched = whole.batched
    if node.type != "MatMul":
        node.reads(inputs)
        node.shape = shape
        return
    transposed = node.op.get_attr("transpose_b")

    length = inputs[1].shape[1 if transposed else 0]

    def run(x, kernel):
        rows = tf.reshape(x, [-1, length])
        product = tf.matmul(rows, kernel, transpose_b=transposed)
        return tf.reshape(product, [-1, *shape])

    become(node, "RowsMatMul", inputs, run, shape)
