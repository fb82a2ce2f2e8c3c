"""A softmax inside of a network; at its end it stays for logits to replace."""

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node

_FUNCTIONS = {"LogSoftmax": tf.nn.log_softmax, "Softmax": tf.nn.softmax}


def fuse(nodes: list[Node]) -> None:
    """Recognises what is read by other nodes, over an axis of each example."""
    for given in {given for node in nodes for given in node.dependent}:
        function = _FUNCTIONS.get(given.type)
        if function and given.shape and given.batched:
            become(given, f"Inner{given.type}", given.inputs, function)
