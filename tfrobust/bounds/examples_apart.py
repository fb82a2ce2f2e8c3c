"""Checks that an op keeps the examples of a batch apart.

Bounds are computed example by example, and for many linear forms of each at
once. An op that mixes examples, or moves them to another axis, has none. Every
check takes a node and says whether each example of what it computes comes from
that example alone; a record of the table of rules names its check.
"""

import math

import numpy as np

from tfrobust.graph import Node


def elementwise(node: Node) -> bool:
    """Constants that broadcast against examples must not tell them apart."""
    rank = len(node.shape) + 1
    return all(_fits(given, rank) for given in node.inputs)


def scaled(node: Node) -> bool:
    """A constant may divide, but not be divided."""
    return elementwise(node) and first(node)


def first(node: Node) -> bool:
    """Whether the first input alone depends on the network's input."""
    return isinstance(node.inputs[0], Node) and len(node.dependent) == 1


def _fits(given, rank):
    """Whether an operand, if it is a constant, is the same for everyone."""
    if isinstance(given, Node):
        return len(given.shape) + 1 == rank
    if given is None or given.shape.rank is None:
        return False
    return given.shape.rank < rank or (
        given.shape.rank == rank and given.shape[0] == 1
    )


def matmul(node: Node) -> bool:
    """The rows of a matrix product are examples."""
    return first(node) and not node.op.get_attr("transpose_a")


def batch_matmul(node: Node) -> bool:
    """Every matrix is multiplied by the same one."""
    if not first(node) or node.op.get_attr("adj_x"):
        return False
    weights = node.inputs[1]
    rank = weights.shape.rank
    shared = rank == 2 or (
        rank == len(node.shape) + 1 and weights.shape[0] == 1
    )
    return shared and len(node.dependent[0].shape) >= 2


def reshape(node: Node) -> bool:
    """Each example keeps all of its values."""
    return math.prod(node.shape) == math.prod(node.dependent[0].shape)


def transpose(node: Node) -> bool:
    """The first axis stays where it is."""
    order = node.constant(1)
    return order is not None and order[0] == 0


def reduction(node: Node) -> bool:
    """No sum is taken over the batch."""
    axes = node.constant(1)
    if axes is None:
        return False
    rank = len(node.dependent[0].shape) + 1
    return 0 not in {int(axis) % rank for axis in np.ravel(axes)}


def squeeze(node: Node) -> bool:
    """The batch, even of one, is not dropped."""
    rank = len(node.dependent[0].shape) + 1
    axes = node.op.get_attr("squeeze_dims")
    return bool(axes) and 0 not in {axis % rank for axis in axes}


def expand(node: Node) -> bool:
    """The new axis does not come first."""
    axis = node.constant(1)
    return axis is not None and int(axis) % (len(node.shape) + 1) != 0


def pad(node: Node) -> bool:
    """No example is added."""
    paddings = node.constant(1)
    return first(node) and paddings is not None and not any(paddings[0])


def strided_slice(node: Node) -> bool:
    """All examples are taken, in their order."""
    if not first(node):
        return False
    masks = {
        name: node.op.get_attr(f"{name}_mask") & 1
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    if masks["new_axis"] or masks["shrink_axis"]:
        return False
    steps = node.constant(3)
    if masks["ellipsis"]:
        return _covers_something(node)
    whole = masks["begin"] and masks["end"] and steps is not None
    return whole and steps[0] == 1


def _covers_something(node):
    """Whether an ellipsis stands for at least one axis."""
    count = node.inputs[1].shape[0]
    added = node.op.get_attr("new_axis_mask")
    others = sum(not added >> k & 1 for k in range(1, count))
    return others <= len(node.dependent[0].shape)


def slicing(node: Node) -> bool:
    """All examples are taken."""
    begin, size = node.constant(1), node.constant(2)
    known = first(node) and begin is not None and size is not None
    return known and begin[0] == 0 and size[0] == -1


def concat(node: Node) -> bool:
    """Values are joined along another axis than the batch."""
    *values, _ = node.inputs
    axis, rank = node.constant(len(values)), len(node.shape) + 1
    known = axis is not None and int(axis) % rank != 0
    return known and all(_is_listed(value, rank) for value in values)


def pack(node: Node) -> bool:
    """Values are stacked along a new axis that does not come first."""
    rank = len(node.shape)  # Of each value: one less than of them all.
    moved = node.op.get_attr("axis") % (rank + 1) != 0
    return moved and all(_is_listed(value, rank) for value in node.inputs)


def unpack(node: Node) -> bool:
    """The axis that is taken apart is not the batch."""
    return node.op.get_attr("axis") % (len(node.shape) + 2) != 0


def add_n(node: Node) -> bool:
    """All values have the same shape, constants one for everyone."""
    rank = len(node.shape) + 1
    return all(_is_listed(value, rank) for value in node.inputs)


def _is_listed(given, rank):
    """Whether a value of a list has the list's rank and is told for all."""
    if isinstance(given, Node):
        return len(given.shape) + 1 == rank
    known = given is not None and given.shape.rank == rank
    return known and given.shape[0] == 1


def split(node: Node) -> bool:
    """The axis is the first input of Split and the last of SplitV."""
    position = 0 if node.type == "Split" else 2
    axis = node.constant(position)
    return axis is not None and int(axis) % (len(node.shape) + 1) != 0


def einsum(node: Node) -> bool:
    """The first letter is of the batch alone, and stays first."""
    equation = node.op.get_attr("equation").decode()
    if len(node.dependent) != 1 or "..." in equation:
        return False
    sides, result = equation.replace(" ", "").split("->")
    terms = sides.split(",")
    own = terms.pop(node.positions[0])
    letter = own[:1]
    return (
        result[:1] == letter
        and own.count(letter) == result.count(letter) == 1
        and not any(letter in term for term in terms)
    )
