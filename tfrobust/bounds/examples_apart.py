"""Whether an op keeps the examples of a batch apart.

Bounds are computed example by example, and for many functions of each at
once. An op that mixes examples, or moves them to another axis, has none.
"""

import math

import numpy as np

from tfrobust.graph import Node


def keeps(node):
    """Whether each example of a node's output comes from that example alone."""
    check = _CHECKS.get(node.type)
    return _constants_fit(node) and (check is None or bool(check(node)))


def _constants_fit(node):
    """Constants that broadcast against examples must not tell them apart."""
    if node.type not in _BROADCASTING:
        return True
    rank = len(node.shape) + 1
    for given in node.inputs:
        if isinstance(given, Node):
            if len(given.shape) + 1 != rank:
                return False
        elif given is None or given.shape.rank is None:
            return False
        elif given.shape.rank > rank or (
            given.shape.rank == rank and given.shape[0] != 1
        ):
            return False
    return True


def _leads(node, position=0):
    """Whether only this input depends on the network's input."""
    return [isinstance(i, Node) for i in node.inputs].index(
        True
    ) == position and (len(node.dependent) == 1)


def _matmul(node):
    return _leads(node) and not node.op.get_attr("transpose_a")


def _batch_matmul(node):
    weights = node.inputs[1]
    if not _leads(node) or node.op.get_attr("adj_x"):
        return False
    rank = weights.shape.rank
    shared = rank == 2 or (
        rank == len(node.shape) + 1 and weights.shape[0] == 1
    )
    return shared and len(node.dependent[0].shape) >= 2


def _reshape(node):
    return math.prod(node.shape) == math.prod(node.dependent[0].shape)


def _transpose(node):
    order = node.constant(1)
    return order is not None and order[0] == 0


def _reduction(node):
    axes = node.constant(1)
    if axes is None:
        return False
    rank = len(node.dependent[0].shape) + 1
    return 0 not in {int(axis) % rank for axis in np.ravel(axes)}


def _axis_attribute(name, rank=lambda node: len(node.shape) + 1):
    def check(node):
        return node.op.get_attr(name) % rank(node) != 0

    return check


def _squeeze(node):
    rank = len(node.dependent[0].shape) + 1
    axes = node.op.get_attr("squeeze_dims")
    return bool(axes) and 0 not in {axis % rank for axis in axes}


def _expand(node):
    axis = node.constant(1)
    return axis is not None and int(axis) % (len(node.shape) + 1) != 0


def _pad(node):
    paddings = node.constant(1)
    return _leads(node) and paddings is not None and not any(paddings[0])


def _strided_slice(node):
    if not _leads(node):
        return False
    masks = {
        name: node.op.get_attr(f"{name}_mask") & 1
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    if masks["new_axis"] or masks["shrink_axis"]:
        return False
    steps = node.constant(3)
    whole = masks["begin"] and masks["end"] and steps is not None
    return masks["ellipsis"] or (whole and steps[0] == 1)


def _slice(node):
    begin, size = node.constant(1), node.constant(2)
    known = _leads(node) and begin is not None and size is not None
    return known and begin[0] == 0 and size[0] == -1


def _concat(node):
    axis = node.constant(len(node.inputs) - 1)
    all_dependent = len(node.dependent) == len(node.inputs) - 1
    rank = len(node.shape) + 1
    return all_dependent and axis is not None and int(axis) % rank != 0


def _split(node):
    """The axis is the first input of Split and the last of SplitV."""
    position = 0 if node.type == "Split" else 2
    axis = node.constant(position)
    return axis is not None and int(axis) % (len(node.shape) + 1) != 0


def _einsum(node):
    equation = node.op.get_attr("equation").decode()
    if len(node.dependent) != 1 or "..." in equation:
        return False
    sides, result = equation.replace(" ", "").split("->")
    terms = sides.split(",")
    position = [isinstance(i, Node) for i in node.inputs].index(True)
    letter = terms.pop(position)[:1]
    return result[:1] == letter and not any(letter in term for term in terms)


def _first(node):
    return _leads(node)


_BROADCASTING = {
    "Add",
    "AddN",
    "AddV2",
    "Maximum",
    "Minimum",
    "Mul",
    "RealDiv",
    "Sub",
}
_CHECKS = {
    "AvgPool": _first,
    "BatchMatMulV2": _batch_matmul,
    "BiasAdd": _first,
    "ConcatV2": _concat,
    "Conv2D": _first,
    "Conv3D": _first,
    "DepthToSpace": _first,
    "DepthwiseConv2dNative": _first,
    "Einsum": _einsum,
    "ExpandDims": _expand,
    "FusedBatchNormV3": _first,
    "MatMul": _matmul,
    "Mean": _reduction,
    "MirrorPad": _pad,
    "Pack": _axis_attribute("axis"),
    "Pad": _pad,
    "PadV2": _pad,
    "RealDiv": _first,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _first,
    "Split": _split,
    "SplitV": _split,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sum": _reduction,
    "Transpose": _transpose,
    "Unpack": _axis_attribute("axis", lambda node: len(node.shape) + 2),
}
