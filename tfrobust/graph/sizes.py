"""Constants whose shape follows from the size of the batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.graph.counts import settled
from tfrobust.graph.node import rerun
from tfrobust.graph.pairs import (
    READERS,
    Pair,
    are_known,
    here,
    may_read,
    run,
    sized,
    uniform,
)
from tfrobust.graph.purity import refuse_random


class Sizes:
    """What a graph makes of the shapes of its nodes, for a single example.

    A network must not compute with the size of its batch. So whatever is made
    from shapes is worked out for batches of one and of two examples; what
    differs may only be moved, multiplied with other lengths, or be rows that
    are the same for every example.

    Args:
        nodes: Maps references of tensors to their nodes.
        outside: Gives what a tensor is that no node's shape takes part in.
        measured: A set to which the nodes are added whose shapes were read:
            what is said here holds if their first axes are the batch.
    """

    def __init__(
        self,
        nodes: dict,
        outside: Callable[[tf.Tensor], tf.Tensor | None],
        measured: set,
    ) -> None:
        self._nodes, self._outside = nodes, outside
        self._measured = measured
        self._done: dict = {}
        self._made_from: dict = {}
        self._given: dict = {}

    def constant(self, tensor: tf.Tensor) -> tf.Tensor | None:
        """What a tensor made from shapes is for a single example.

        Returns:
            The tensor, with a first axis of 1 in place of the batch; None if
            it can't be told, or differs.
        """
        pair = self.pair(tensor)
        if pair is None or not pair[0].dtype.is_numpy_compatible:
            return None  # A list, as loops have them.
        one, two = pair
        if one is not two and not uniform(one, two):
            return None
        return here(one)

    def shape(self, op: tf.Operation, index: int) -> tuple | None:
        """The shape of an op's output for one example, by running it on zeros.

        For what TensorFlow's own inference leaves open, such as a flattening
        to `[tf.shape(x)[0], -1]`. None if it can't be told, or the first axis
        isn't the batch.
        """
        pairs = [self._zeros(tensor) for tensor in op.inputs]
        if None in pairs:
            return None
        try:
            with tf.init_scope():
                one, two = (
                    rerun(op, list(inputs))[index].shape.as_list()
                    for inputs in zip(*pairs, strict=True)
                )
        except (NotImplementedError, tf.errors.OpError):
            return None
        if not one or not two or one[1:] != two[1:]:
            return None
        return tuple(one[1:]) if (one[0], two[0]) == (1, 2) else None

    def _zeros(self, tensor):
        """Zeros in the place of a value, in batches of one and of two."""
        node = self._nodes.get(tensor.ref())
        with tf.init_scope():
            if node is not None:
                if node.shape is None or None in node.shape:
                    return None
                if not tensor.dtype.is_numpy_compatible:
                    return None  # A list, as loops have them.
                return tuple(
                    tf.zeros([size, *node.shape], tensor.dtype)
                    for size in (1, 2)
                )
            if tensor.dtype.is_floating and tensor.shape.is_fully_defined():
                return (tf.zeros(tensor.shape, tensor.dtype),) * 2
        pair = self.pair(tensor)
        return pair if pair is not None and are_known(*pair) else None

    def takes_part(self, tensor: tf.Tensor) -> bool:
        """Whether a tensor is made from the shape of a node."""
        if tensor.ref() not in self._made_from:
            self._made_from[tensor.ref()] = any(
                given.ref() in self._nodes or self.takes_part(given)
                for given in tensor.op.inputs
            )
        return self._made_from[tensor.ref()]

    def settle(self, tensor: tf.Tensor) -> None:
        """Tells that a tensor is made of no shape, though of a node."""
        self._made_from[tensor.ref()] = False

    def give(self, tensor: tf.Tensor, pair: Pair | None) -> None:
        """Tells what a tensor that may differ with the batch's size is."""
        self._made_from[tensor.ref()] = True
        self._given[tensor.ref()] = pair

    def pair(self, tensor: tf.Tensor) -> Pair | None:
        """A tensor for one example and for two, one object if they agree."""
        if tensor.ref() in self._given:
            return self._given[tensor.ref()]
        op = tensor.op
        if not self.takes_part(tensor):
            known = settled(tensor)
            if known is None:
                value = self._outside(tensor)
            else:
                with tf.init_scope():
                    value = tf.constant(known)
            return None if value is None else (value, value)
        if op not in self._done:
            self._done[op] = self._pairs(op)
        pairs = self._done[op]
        return pairs and pairs[tensor.value_index]

    def _pairs(self, op):
        """The pair of every output of an op; None if they aren't known."""
        if op.type in READERS and op.inputs[0].ref() in self._nodes:
            return self._read(op, [self._nodes[i.ref()] for i in op.inputs])
        if any(given.ref() in self._nodes for given in op.inputs):
            return None
        length = self._static_length(op)
        if length is not None:
            return [(length, length)]
        inputs: Any = [self.pair(given) for given in op.inputs]
        if None in inputs or not may_read(op, inputs):
            return None
        refuse_random(op)
        try:
            pairs = run(op, inputs)
        except (NotImplementedError, tf.errors.OpError, ValueError):
            return None
        differs = any(uniform(*pair) for pair in inputs if sized(pair))
        return [self._agreed(op, pair, differs) for pair in pairs]

    def _static_length(self, op):
        """What a slice takes of a shape, if tracing knows that part of it.

        Such as the number of steps, where they are the first axis.
        """
        if op.type != "StridedSlice" or op.inputs[0].op.type != "Shape":
            return None
        measured = op.inputs[0].op.inputs[0]
        node, shape = self._nodes.get(measured.ref()), measured.shape
        places = [tf.get_static_value(given) for given in op.inputs[1:]]
        if node is None or not shape.rank or any(p is None for p in places):
            return None
        lengths = [-1 if length is None else length for length in shape]
        lengths[0] = -1 if node.batched else lengths[0]
        with tf.init_scope():
            (taken,) = rerun(
                op, [tf.constant(lengths, op.inputs[0].dtype), *places]
            )
        return taken if np.all(taken.numpy() >= 0) else None

    def _agreed(self, op, pair, rows):
        """The pair of an output, or None if it may differ otherwise.

        Args:
            op: The op.
            pair: The output for one example and for two.
            rows: Whether the op read rows, and so must return rows.
        """
        one, two = pair
        if one is two or uniform(one, two):
            return one, two
        lengths = one.dtype.is_integer and one.shape == two.shape
        if op.type not in READERS and rows or not lengths:
            return None
        same = are_known(one, two) and np.array_equal(one, two)
        return (one, one) if same else (one, two)

    def _read(self, op, nodes):
        """What an op reads of the shapes of nodes."""
        if any(node.shape is None or None in node.shape for node in nodes):
            return None
        self._measured.update(nodes)
        with tf.init_scope():
            one, two = (
                _of_shapes(op, [[size, *node.shape] for node in nodes])
                for size in (1, 2)
            )
        return [
            self._agreed(op, pair, False) for pair in zip(one, two, strict=True)
        ]


def _of_shapes(op, shapes):
    """What an op reads of shapes that are known."""
    dtype = op.outputs[0].dtype
    if op.type in ("ZerosLike", "OnesLike"):
        return [tf.fill(shapes[0], tf.cast(op.type == "OnesLike", dtype))]
    if op.type == "Rank":
        return [tf.constant(len(shapes[0]), dtype)]
    if op.type == "Size":
        return [tf.reduce_prod(tf.constant(shapes[0], dtype))]
    return [tf.constant(shape, dtype) for shape in shapes]
