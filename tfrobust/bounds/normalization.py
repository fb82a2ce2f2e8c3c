"""Batch normalisation by moving statistics, which is linear."""

import tensorflow as tf

from tfrobust.graph import Node


def channels_last(node: Node) -> bool:
    """Whether the last axis holds the channels."""
    return node.op.get_attr("data_format").endswith(b"C")


def magnitude(node: Node, radius: tf.Tensor) -> tf.Tensor:
    """|scale / sqrt(variance + epsilon)| times the radius."""
    return radius * _by_channel(node, tf.abs(_slope(node)))


def constants(node: Node) -> tf.Tensor:
    """The magnitudes of what is subtracted and added, shape `[1, ...]`."""
    _, _, offset, mean, _ = node.inputs
    sizes = tf.abs(mean * _slope(node)) + tf.abs(offset)
    return _by_channel(node, sizes)[tf.newaxis]


def _slope(node):
    _, scale, _, _, variance = node.inputs
    return scale * tf.math.rsqrt(variance + node.op.get_attr("epsilon"))


def _by_channel(node, values):
    """Shapes one value for each channel to broadcast against an example."""
    if channels_last(node):
        return values
    return tf.reshape(values, [-1] + [1] * (len(node.shape) - 1))
