"""Checks that ops along some axes keep the examples of a batch apart.

They belong to `examples_apart`.
"""

import numpy as np
import tensorflow as tf

from tfrobust.bounds.examples_apart import first
from tfrobust.graph import Node


def gather(node: Node) -> bool:
    """What is picked are no examples, and the same for everyone."""
    return first(node) and _spared(node.constant(2), node.dependent[0])


def cumsum(node: Node) -> bool:
    """No sum is taken over the batch."""
    return first(node) and _spared(node.constant(1), node.dependent[0])


def reverse(node: Node) -> bool:
    """The order of the examples stays."""
    return cumsum(node)


def roll(node: Node) -> bool:
    """No example moves to another place."""
    return first(node) and _spared(node.constant(2), node.dependent[0])


def tile(node: Node) -> bool:
    """No example is repeated."""
    if not first(node) or node.inputs[1] is None:
        return False
    # Of the others nothing needs to be known.
    multiples = tf.get_static_value(node.inputs[1], partial=True)
    return multiples is not None and multiples[0] == 1


def broadcast(node: Node) -> bool:
    """The value has its examples on the first axis before it is broadcast."""
    return first(node) and len(node.dependent[0].shape) == len(node.shape)


def resize(node: Node) -> bool:
    """The images alone depend on the input; their size is known."""
    return first(node) and len(node.dependent[0].shape) == 3


def transposed_convolution(node: Node) -> bool:
    """What is convolved alone depends on the input, its last."""
    return node.positions == [2]


def _spared(axes, given):
    """Whether axes are known, and the batch is none of them."""
    if axes is None:
        return False
    rank = len(given.shape) + 1
    return 0 not in {int(axis) % rank for axis in np.ravel(axes)}
