"""Constants whose shape follows from the size of the batch."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.graph.node import rerun

# They read the shape of what they are given, never its value.
READERS = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}


def everyones(tensor: tf.Tensor, nodes: dict, outside: Any) -> tf.Tensor | None:
    """What a tensor made from the shapes of nodes is for a single example.

    It is worked out for batches of one and of two examples, which must agree:
    a network must not compute with the size of its batch.

    Args:
        tensor: A tensor of a traced graph.
        nodes: Maps references of tensors to their nodes.
        outside: Gives what a tensor is that no node's shape takes part in.

    Returns:
        The tensor with a first axis of 1 in place of the batch; None if it
        can't be told for both, or differs.
    """
    try:
        with tf.init_scope():  # Where values are known at once, if they can be.
            made = [_made(tensor, nodes, None, size, {}) for size in (1, 2)]
        if None in made:
            made = [_made(tensor, nodes, outside, size, {}) for size in (1, 2)]
    except NotImplementedError:
        return None
    if None in made:
        return None
    one, two = made
    if not one.dtype.is_numpy_compatible:  # A list, as loops have them.
        return None
    if one.shape not in (two.shape, [1, *two.shape[1:]]):
        return None
    if hasattr(one, "numpy"):
        same = np.array_equal(np.broadcast_to(one, two.shape), two)
        return tf.constant(one.numpy()) if same else None
    agree = tf.debugging.assert_equal(
        tf.broadcast_to(one, tf.shape(two)),
        two,
        message="A constant of the network differs with the size of the batch "
        f"({tensor.op.name}), so that no example can be bounded by itself.",
    )
    with tf.control_dependencies([agree]):
        return tf.identity(one)


def shape(op: tf.Operation, index: int, nodes: dict) -> tuple | None:
    """The shape of an op's output for one example, by running it on zeros.

    For what TensorFlow's own inference leaves open, such as a flattening to
    `[tf.shape(x)[0], -1]`. None if it can't be told, or the first axis isn't
    the batch.
    """

    def given(tensor, size):
        if tensor.ref() in nodes:
            node = nodes[tensor.ref()]
            if node.shape is None or None in node.shape:
                return None
            return tf.zeros([size, *node.shape], tensor.dtype)
        if tensor.dtype.is_floating and tensor.shape.is_fully_defined():
            return tf.zeros(tensor.shape, tensor.dtype)
        return _made(tensor, nodes, None, size, {})

    shapes = []
    with tf.init_scope():
        for size in (1, 2):
            inputs = [given(tensor, size) for tensor in op.inputs]
            if any(value is None for value in inputs):
                return None
            try:
                outputs = rerun(op, inputs)
            except (NotImplementedError, tf.errors.OpError):
                return None
            shapes.append(outputs[index].shape.as_list())
    if not all(shapes):  # One value for the whole batch.
        return None
    (first, *one), (second, *two) = shapes
    return tuple(one) if (first, second) == (1, 2) and one == two else None


def _made(tensor, nodes, outside, size, done):
    """What a tensor is in a batch of this size; None if that isn't known."""
    op = tensor.op
    if op not in done:
        if op.type in READERS and op.inputs[0].ref() in nodes:
            known = [nodes[given.ref()].shape for given in op.inputs]
            if any(shape is None or None in shape for shape in known):
                return None
            done[op] = _read(op, [[size, *shape] for shape in known])
        elif any(given.ref() in nodes for given in op.inputs):
            return None
        elif not op.inputs and op.type != "Const":
            return outside and outside(tensor)
        else:
            inputs = [_made(i, nodes, outside, size, done) for i in op.inputs]
            unknown = any(given is None for given in inputs)
            done[op] = (
                [None] * len(op.outputs) if unknown else rerun(op, inputs)
            )
    return done[op][op.outputs.index(tensor)]


def _read(op, shapes):
    """What an op reads of shapes that are known."""
    dtype = op.outputs[0].dtype
    if op.type in ("ZerosLike", "OnesLike"):
        return [tf.fill(shapes[0], tf.cast(op.type == "OnesLike", dtype))]
    if op.type == "Rank":
        return [tf.constant(len(shapes[0]), dtype)]
    if op.type == "Size":
        return [tf.reduce_prod(tf.constant(shapes[0], dtype))]
    return [tf.constant(shape, dtype) for shape in shapes]
