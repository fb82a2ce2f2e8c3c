"""The largest of several values: maximum pooling, and maxima along axes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.record import ANY, RULES, Record
from tfrobust.graph import Node


class MaxPool:
    """How to bound the largest value of each window.

    Below it is the input of largest lower bound. Above it is that same input
    where no other can exceed it, and otherwise the largest upper bound.

    Args:
        counted: A function `(node, marks)`: how many marks, `[batch, ...]`,
            each window has.
        windows: A function of the node: of how many windows one value may be
            the largest.
        spread: A function `(node, values, flat)` that gives the coefficients
            of windows, in all, to the largest of the values in each.
    """

    linear = moves = optimizable = False

    def __init__(
        self,
        counted: Callable[[Node, tf.Tensor], tf.Tensor],
        windows: Callable[[Node], int],
        spread: Callable[[Node, tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> None:
        self._counted, self._windows = counted, windows
        self._spread = spread

    def interval(
        self, node: Node, intervals: list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The interval of a node from those of its dependent inputs."""
        lower, upper = map(node.run, *intervals)
        return lower, upper

    def stable(self, lower: tf.Tensor, upper: tf.Tensor) -> None:
        """Where tighter bounds wouldn't change the lines: not known."""
        return None

    def pull(
        self, node: Node, lines: Any, forms: Forms
    ) -> tuple[Forms, tf.Tensor]:
        """The smallest that the lines allow: `Forms`, and a constant."""
        return lines.pull(forms)

    def relaxation(
        self,
        node: Node,
        lower: tf.Tensor,
        upper: tf.Tensor,
        alpha: tf.Tensor | None = None,
        moved: Any = 0.0,
    ) -> Any:
        """The lines of a node; see `Activation.relaxation`."""
        best = node.run(lower)
        # Where no other than the one of largest lower bound can be largest,
        # the largest upper bound but that one's is below.
        chosen = self._spread(node, lower, tf.ones_like(best)) > 0
        others = tf.where(chosen, -float("inf"), upper)
        leader_alone = node.run(others) <= best
        # One that leads one window may be a rival in the next.
        marks = tf.cast(chosen, tf.float32)
        alone = leader_alone & (self._counted(node, marks) == 1)
        largest = node.run(upper)
        # All values are summed up for each form.
        largest += rounding.share(node.size) * rounding.size(largest, largest)
        # A value that leads several windows gets the sum of their forms.
        moved += rounding.spare(lower, upper, self._windows(node))
        known = tf.cast(alone, tf.float32)
        return _Chosen(node, lower, largest, known, moved, self._spread)


class _Chosen(NamedTuple):
    """Lines of a pooling op; see `MaxPool`."""

    node: Any
    lower: Any
    largest: Any
    alone: Any
    moved: Any  # How far rounding may move what is read.
    spread: Any

    def pull(self, forms):
        """The smallest that the lines allow: `Forms`, and a constant."""
        node = self.node
        # From here on no example shares its forms with another.
        own = forms.scaled(tf.ones_like(self.largest))
        found = own.dense(node.shape)
        negative = found.negative()
        constant = negative.dot(self.largest * (1 - self.alone))
        kept = found.flat - negative.flat * (1 - found.read(self.alone))
        leaders = self.spread(node, found.read(self.lower), kept)
        magnitudes = self.spread(node, found.read(self.lower), tf.abs(kept))
        off = found.replaced(magnitudes).magnitude(self.moved)
        return found.replaced(leaders), constant - tf.stop_gradient(off)


def _by_gradient(node, values, flat):
    """By that of the op, which parts it among equal values if need be."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        largest = node.run(values)
    spread = tape.gradient(largest, values, output_gradients=flat)
    spread.set_shape([None, *node.dependent[0].shape])
    return spread


def _in_volumes(node, values, flat):
    """Without the op's gradient, which gives all of it to each equal value."""
    size, strides = node.op.get_attr("ksize"), node.op.get_attr("strides")
    padding = node.op.get_attr("padding").decode()
    *places, channels = node.shape

    def seen(values):
        found = tf.extract_volume_patches(values, size, strides, padding)
        return tf.reshape(found, [-1, *places, math.prod(size), channels])

    inside = seen(tf.ones_like(values)) > 0
    best = tf.argmax(tf.where(inside, seen(values), -float("inf")), -2)
    first = tf.one_hot(best, math.prod(size), axis=4)
    zeros = tf.zeros_like(values)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(zeros)
        picked = tf.reduce_sum(seen(zeros) * first, -2)
    spread = tape.gradient(picked, zeros, output_gradients=flat)
    spread.set_shape([None, *node.dependent[0].shape])
    return spread


def _in_windows(node, marks):
    """How many marks each window of a pooling op has."""
    size, strides = (
        node.op.get_attr(name)[1:-1] for name in ("ksize", "strides")
    )
    *image, channels = marks.shape[1:]
    axes = list(range(1, len(image) + 1))
    # A convolution by channels has the same stride along all axes.
    marks = tf.transpose(marks, [0, len(image) + 1, *axes])
    counts = tf.nn.convolution(
        tf.reshape(marks, [-1, *image, 1]),
        tf.ones([*size, 1, 1]),
        strides,
        node.op.get_attr("padding").decode(),
    )
    counts = tf.reshape(counts, [-1, channels, *counts.shape[1:-1]])
    return tf.transpose(counts, [0, *(1 + axis for axis in axes), 1])


def _along_axes(node, marks):
    """How many marks there are for each value of a maximum along axes."""
    counts = tf.reduce_sum(marks, node.constant(1).tolist())
    return tf.reshape(counts, [-1, *node.shape])


def _one_channel(value):
    """Whether a window of an image lies within one example and channel."""
    return value[0] == value[-1] == 1


def _size(node):
    return math.prod(node.op.get_attr("ksize"))


_POOLED = MaxPool(_in_windows, _size, _by_gradient)
_VOLUMES = MaxPool(_in_windows, _size, _in_volumes)
_REDUCED = MaxPool(_along_axes, lambda node: 1, _by_gradient)
_WINDOWS = {
    "padding": (b"SAME", b"VALID"),
    "ksize": _one_channel,
    "strides": _one_channel,
}

RULES |= {
    "Max": Record(_REDUCED, apart.reduction, {"keep_dims": ANY}),
    "MaxPool": Record(
        _POOLED,
        apart.first,
        _WINDOWS | {"explicit_paddings": ANY, "data_format": (b"NHWC",)},
    ),
    "MaxPool3D": Record(
        _VOLUMES, apart.first, _WINDOWS | {"data_format": (b"NDHWC",)}
    ),
}
