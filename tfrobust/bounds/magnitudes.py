"""What a linear op makes of zeros, and of magnitudes."""

import tensorflow as tf

from tfrobust.graph import Node


def of_zeros(node: Node) -> tf.Tensor:
    """What it adds to zeros, shape `[1, ...]`."""
    offset = node.run(*(tf.zeros([1, *i.shape]) for i in node.dependent))
    offset.set_shape([1, *node.shape])
    return offset


def constants(node: Node) -> tf.Tensor:
    """What it adds to zeros, its constants taken by their magnitudes."""
    zeros = (tf.zeros([1, *i.shape]) for i in node.dependent)
    return tf.abs(node.run(*zeros, constants=tf.abs))


def magnitude(node: Node, *radii: tf.Tensor) -> tf.Tensor:
    """The op with the magnitudes of its weights."""
    return node.run(*radii, constants=tf.abs)
