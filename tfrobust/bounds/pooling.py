"""Maximum pooling."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.graph import Node


class MaxPool:
    """How to bound the largest value of each window.

    Below it is the input of largest lower bound. Above it is that same input
    where no other can exceed it, and otherwise the largest upper bound.
    """

    linear = moves = optimizable = False

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
        chosen = _spread(node, lower, tf.ones_like(best)) > 0
        others = tf.where(chosen, -float("inf"), upper)
        leader_alone = node.run(others) <= best
        # One that leads one window may be a rival in the next.
        alone = leader_alone & (_leaders(node, chosen) == 1)
        largest = node.run(upper)
        # All values are summed up for each form.
        largest += rounding.share(node.size) * rounding.size(largest, largest)
        # A value that leads several windows gets the sum of their forms.
        windows = math.prod(node.op.get_attr("ksize"))
        moved += rounding.spare(lower, upper, windows)
        return _Chosen(node, lower, largest, tf.cast(alone, tf.float32), moved)


class _Chosen(NamedTuple):
    """Lines of a pooling op; see `MaxPool`."""

    node: Any
    lower: Any
    largest: Any
    alone: Any
    moved: Any  # How far rounding may move what is read.

    def pull(self, forms):
        """The smallest that the lines allow: `Forms`, and a constant."""
        node = self.node
        # From here on no example shares its forms with another.
        own = forms.scaled(tf.ones_like(self.largest))
        found = own.dense(node.shape)
        negative = found.negative()
        constant = negative.dot(self.largest * (1 - self.alone))
        kept = found.flat - negative.flat * (1 - found.read(self.alone))
        leaders = _spread(node, found.read(self.lower), kept)
        magnitudes = _spread(node, found.read(self.lower), tf.abs(kept))
        off = found.replaced(magnitudes).magnitude(self.moved)
        return found.replaced(leaders), constant - tf.stop_gradient(off)


def _spread(node, values, flat):
    """Gives each window's coefficient to the largest of its values."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        largest = node.run(values)
    spread = tape.gradient(largest, values, output_gradients=flat)
    spread.set_shape([None, *node.dependent[0].shape])
    return spread


def _leaders(node, chosen):
    """How many inputs of each window lead some window."""
    size, strides = (
        node.op.get_attr(name)[1:3] for name in ("ksize", "strides")
    )
    # A convolution by channels has the same stride along both axes.
    marks = tf.transpose(tf.cast(chosen, tf.float32), [0, 3, 1, 2])
    _, channels, height, width = marks.shape
    counts = tf.nn.conv2d(
        tf.reshape(marks, [-1, height, width, 1]),
        tf.ones([*size, 1, 1]),
        strides,
        node.op.get_attr("padding").decode(),
    )
    counts = tf.reshape(counts, [-1, channels, *counts.shape[1:3]])
    return tf.transpose(counts, [0, 2, 3, 1])
