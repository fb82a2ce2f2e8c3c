"""A network whose maxima are sums of ReLUs."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.graph.node import Node
from tfrobust.graph.reading import Reading, run_nodes
from tfrobust.types import Model

# Maxima of more values than that are left alone.
_MOST = 64


class Hinged:
    """A network that computes the same by ReLUs, as far as it can.

    Maximum pooling, maxima along axes, clipping and the larger of a value and
    a constant are made of `max(a, b) = b + max(a - b, 0)`, so that they can be
    cut where they bend. Real numbers make no difference.

    Args:
        model: Any callable `model(x, training=False) -> outputs`.

    Attributes:
        same: Whether it has nothing of the kind, once it was called.

    Call arguments:
        x: Inputs, shape `[batch, ...]`.
        training: Must be False.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.same = False

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.same:
            return self._model(x, training=False)
        reading = Reading(self._model, x)
        found = {node: _made(node) for node in reading.nodes}
        made = {node: made for node, made in found.items() if made}
        if not made:
            self.same = True
            return self._model(x, training=False)
        return run_nodes(reading.nodes[1:], {reading.input: x}, made)


def _made(node: Node) -> Callable | None:
    """The function that computes a node's value by ReLUs; None for none."""
    if node.type == "MaxPool" and node.op.get_attr("data_format") == b"NHWC":
        return functools.partial(_pooled, node)
    if node.type == "Max" and node.positions == [0]:
        return _along_axis(node)
    if node.type == "Relu6":
        return lambda x: tf.nn.relu(x) - tf.nn.relu(x - 6.0)
    if node.type in ("Maximum", "Minimum") and len(node.dependent) == 1:
        return _beside_constant(node)
    return None


def _beside_constant(node):
    """The function of the larger, or smaller, of a value and a constant."""
    constant: Any = node.inputs[1 - node.positions[0]]
    if constant is None:  # Known only while the network runs.
        return None
    if node.type == "Maximum":
        return lambda x: constant + tf.nn.relu(x - constant)
    return lambda x: constant - tf.nn.relu(constant - x)


def _pooled(node, x):
    """The largest of each window: of the same image, moved."""
    sizes, steps = (
        node.op.get_attr(name)[1:3] for name in ("ksize", "strides")
    )
    if node.op.get_attr("padding") == b"SAME":
        for axis, (size, step) in enumerate(zip(sizes, steps, strict=True), 1):
            x = _padded(x, axis, size, step)
    counts = [
        (length - size) // step + 1
        for length, size, step in zip(x.shape[1:3], sizes, steps, strict=True)
    ]
    moved = []
    for first in itertools.product(*map(range, sizes)):
        rows, columns = (
            slice(begin, begin + (count - 1) * step + 1, step)
            for begin, count, step in zip(first, counts, steps, strict=True)
        )
        moved.append(x[:, rows, columns])
    return _largest(moved)


def _padded(x, axis, size, step):
    """Repeats the border, whose windows hold it already."""
    length = x.shape[axis]
    missing = max((-(-length // step) - 1) * step + size - length, 0)
    first, last = (tf.gather(x, [end], axis=axis) for end in (0, length - 1))
    before = missing // 2
    return tf.concat([first] * before + [x] + [last] * (missing - before), axis)


def _along_axis(node):
    """The function of a maximum along one short axis."""
    axes, keep = node.constant(1), node.op.get_attr("keep_dims")
    rank = len(node.dependent[0].shape) + 1
    if axes is None or axes.size != 1:
        return None
    axis = int(axes.item()) % rank
    if axis == 0 or node.dependent[0].shape[axis - 1] > _MOST:
        return None

    def largest(x):
        found = _largest(tf.unstack(x, axis=axis))
        return tf.expand_dims(found, axis) if keep else found

    return largest


def _largest(values):
    """In pairs, of pairs, so that errors of bounds don't add up in a row."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        rest = values[-1:] if len(values) % 2 else []
        values = [tf.maximum(*pair) for pair in pairs] + rest
    return values[0]
