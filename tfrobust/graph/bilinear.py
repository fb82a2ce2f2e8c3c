"""Products of two values that both depend on the network's input."""

import math
from typing import NamedTuple

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node


class Count(NamedTuple):
    """The detail of a product.

    Args:
        products: How many numbers are multiplied for one example.
        limit: What no magnitude of the product exceeds.
    """

    products: int
    limit: float = math.inf


def fuse(node: Node) -> None:
    """Recognises a product of two values, which keeps examples apart."""
    recognise = _KINDS.get(node.type)
    if recognise is None or len(node.dependent) != 2 or len(node.inputs) != 2:
        return
    first, second = node.dependent
    shapes = node.shape, first.shape, second.shape
    if any(shape is None or None in shape for shape in shapes):
        return
    if node.batched and first.batched and second.batched:
        recognise(node, first, second)


def _elementwise(node, first, second):
    if first is second:
        become(node, "Square", [first], tf.square)
    elif len(first.shape) == len(second.shape) == len(node.shape):
        become(
            node,
            "Product",
            [first, second],
            tf.multiply,
            detail=Count(node.size),
        )


def _matrices(node, first, second):
    if not 2 <= len(first.shape) == len(second.shape) == len(node.shape):
        return
    flip, other = node.op.get_attr("adj_x"), node.op.get_attr("adj_y")

    def run(x, y):
        return tf.matmul(x, y, transpose_a=flip, transpose_b=other)

    count = node.size * first.shape[-2 if flip else -1]
    become(node, "MatrixProduct", [first, second], run, detail=Count(count))


def _einsum(node, first, second):
    equation = node.op.get_attr("equation").decode().replace(" ", "")
    sides, result = equation.split("->")
    if "." in equation:
        return
    terms = sides.split(",")
    # The first letter is that of the batch, and stays first.
    if any(t[:1] != result[:1] for t in terms) or not result:
        return
    if any(len(set(term)) < len(term) for term in (*terms, result)):
        return
    sizes: dict = {}
    for term, given in zip(terms, (first, second), strict=True):
        for letter, length in zip(term[1:], given.shape, strict=True):
            if sizes.setdefault(letter, length) != length:
                return

    def run(x, y):
        return tf.einsum(equation, x, y)

    count = math.prod(sizes.values())
    become(node, "MatrixProduct", [first, second], run, detail=Count(count))


_KINDS = {
    "BatchMatMulV2": _matrices,
    "Einsum": _einsum,
    "Mul": _elementwise,
}
