"""A softmax inside of a network; at its end it stays for logits to replace."""

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node

# Behind them an end is still the end.
_MOVES = {"ExpandDims", "Reshape", "Squeeze", "Transpose"}
_FUNCTIONS = {"LogSoftmax": tf.nn.log_softmax, "Softmax": tf.nn.softmax}


def fuse(nodes: list[Node]) -> None:
    """Recognises what other nodes compute with, over an axis of examples."""
    read = {given for node in nodes for given in node.dependent}
    for node in nodes:
        if node not in read:
            while node.type in _MOVES and node.dependent:
                node = node.dependent[0]
                read.discard(node)
    for given in read:
        function = _FUNCTIONS.get(given.type)
        if function and given.shape and given.batched:
            become(given, f"Inner{given.type}", given.inputs, function)
