"""Values of a graph in batches of one example and of two."""

import contextlib
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfrobust.graph.node import rerun

# What a tensor is for one example and for two; one object if they agree.
Pair: TypeAlias = tuple[tf.Tensor, tf.Tensor]
# They read the shape of what they are given, never its value.
READERS = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}

# Ops that may read what differs with the size of the batch. Any other could
# tell one size from the next where those that are tried here agree.
# They move lengths or rows, and multiply lengths.
_MOVES = {
    "Cast",
    "ConcatV2",
    "ExpandDims",
    "GatherV2",
    "Mul",
    "Pack",
    "Prod",
    "Reshape",
    "Slice",
    "Squeeze",
    "StridedSlice",
    "Unpack",
}
# They make a tensor of a length; the position of that input.
_FILLS = {"BroadcastTo": 1, "Fill": 0, "Reshape": 1, "Tile": 1}
# They take values apart; the position of what is.
_PARTED = {"Split": 1, "SplitV": 0}
# They work on every value by itself and round it in one way only.
_ELEMENTWISE = {
    "Abs",
    "Add",
    "AddV2",
    "BiasAdd",
    "Cast",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Maximum",
    "Minimum",
    "Mul",
    "Neg",
    "RealDiv",
    "Sqrt",
    "Square",
    "Sub",
}
# They sum within each row.
_SUMS = {"Conv2D", "Conv3D", "MatMul", "Sum"}


def may_read(op: tf.Operation, inputs: list[Pair]) -> bool:
    """Whether an op may read inputs that differ with the size of the batch."""
    differing = [k for k, pair in enumerate(inputs) if sized(pair)]
    lengths = [k for k in differing if not uniform(*inputs[k])]
    if not differing or op.type in READERS:
        return True
    if op.type in _FILLS and lengths == [_FILLS[op.type]]:
        return True
    if lengths and len(lengths) < len(differing):
        return False
    if not lengths and op.type in _ELEMENTWISE:
        return True
    if not lengths and op.type in _SUMS and differing == [0]:
        return _exact(op, inputs)
    if not lengths and op.type in _PARTED:
        return differing == [_PARTED[op.type]]
    if op.type == "Cast":
        return op.outputs[0].dtype.is_integer
    if op.type in ("ConcatV2", "Mul", "Pack"):
        return True
    # Of what is moved or sliced, the data alone.
    return op.type in _MOVES and differing == [0]


def _exact(op: tf.Operation, inputs: list[Pair]) -> bool:
    """Whether a sum over the values of each row is exact in whatever order.

    As that of rows which are all 0, such as the first state of a recurrent
    layer, and that of whole numbers, such as counts.
    """
    rows, *others = inputs
    if not are_known(*rows):
        return False
    if op.type == "Sum":
        axes, rank = others[0][0], rows[0].shape.rank
        if not are_known(axes) or np.any(axes.numpy() % rank == 0):
            return False
        return all(_whole(value.numpy()) for value in rows)
    if any(np.any(value) for value in rows):
        return False
    return op.type != "MatMul" or not op.get_attr("transpose_a")


def _whole(value):
    """Whether float32 has all sums of these numbers."""
    return np.all(np.round(value) == value) and np.sum(np.abs(value)) < 2**24


def run(op: tf.Operation, inputs: list[Pair]) -> list[Pair]:
    """Runs an op in both sizes, or once where no input differs."""
    # Where values are known at once, if they can be.
    known = all(are_known(*pair) for pair in inputs)
    with tf.init_scope() if known else contextlib.nullcontext():
        one, two = (
            [v if known else here(v) for v in values]
            for values in zip(*inputs, strict=True)
        )
        first = rerun(op, one)
        if not any(map(sized, inputs)):
            return [(value, value) for value in first]
        return list(zip(first, rerun(op, two), strict=True))


def sized(pair: Pair) -> bool:
    """Whether a value differs with the size of the batch."""
    return pair[0] is not pair[1]


def uniform(one: tf.Tensor, two: tf.Tensor) -> bool:
    """Whether both are rows, one for each example, that are the same."""
    if not one.dtype.is_numpy_compatible or not one.shape.rank:
        return False
    if one.shape[1:] != two.shape[1:] or not one.shape.is_fully_defined():
        return False
    if (one.shape[0], two.shape[0]) != (1, 2):
        return False
    # In a graph, by what the ops are that may make rows.
    return not are_known(one, two) or np.array_equal(
        np.broadcast_to(one, two.shape), two
    )


def here(value: tf.Tensor) -> tf.Tensor:
    """A value that is known at once becomes a constant of the current graph."""
    return tf.constant(value.numpy()) if are_known(value) else value


def are_known(*values: Any) -> bool:
    """Whether the values are there already, as they are outside of graphs."""
    return all(hasattr(value, "numpy") for value in values)
