"""Maximum pooling."""

from typing import Any, NamedTuple

import tensorflow as tf


class MaxPool:
    """How to bound the largest value of each window.

    Below it is the input of largest lower bound. Above it is that same input
    where no other can exceed it, and otherwise the largest upper bound.
    """

    linear, free = False, False

    def interval(self, node, intervals):
        """The interval of a node from those of its dependent inputs."""
        lower, upper = map(node.run, *intervals)
        return lower, upper

    def settled(self, lower, upper):
        """Where tighter bounds wouldn't change the lines: not known."""
        return None

    def relaxation(self, node, lower, upper, free=None):
        """The lines of a node."""
        best = node.run(lower)
        # Where no other than the one of largest lower bound can be largest,
        # the largest upper bound but that one's is below.
        chosen = _spread(node, lower, tf.ones_like(best)) > 0
        others = tf.where(chosen, -float("inf"), upper)
        leader_alone = node.run(others) <= best
        # One that leads one window may be a rival in the next.
        alone = leader_alone & (_leaders(node, chosen) == 1)
        return _Chosen(node, lower, node.run(upper), tf.cast(alone, tf.float32))


class _Chosen(NamedTuple):
    """Lines of a pooling op; see `MaxPool`."""

    node: Any
    lower: Any
    largest: Any
    alone: Any

    def pull(self, coefficients):
        """The smallest that the lines allow: functions, and a constant."""
        node = self.node
        # From here on no example shares its functions with another.
        own = coefficients.scaled(tf.ones_like(self.largest))
        found = own.dense(node.shape)
        falls = found.falls()
        constant = falls.dot(self.largest * (1 - self.alone))
        kept = found.rows - falls.rows * (1 - found.read(self.alone))
        rows = _spread(node, found.read(self.lower), kept)
        return found.replaced(rows), constant


def _spread(node, values, rows):
    """Gives each window's row to the largest of its values."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        largest = node.run(values)
    spread = tape.gradient(largest, values, output_gradients=rows)
    spread.set_shape([None, *node.dependent[0].shape])
    return spread


def _leaders(node, chosen):
    """How many inputs of each window lead some window."""
    size = node.op.get_attr("ksize")[1:3]
    ones = tf.ones([*size, node.shape[-1], 1])
    return tf.nn.depthwise_conv2d(
        tf.cast(chosen, tf.float32),
        ones,
        node.op.get_attr("strides"),
        node.op.get_attr("padding").decode(),
    )
