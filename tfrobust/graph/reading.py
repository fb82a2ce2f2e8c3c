"""Reading the ops of a network that depend on its input."""

from typing import Any

import tensorflow as tf

from tfrobust.graph import fusion
from tfrobust.graph.frame import Frame
from tfrobust.graph.loops import LOOPS
from tfrobust.graph.node import Node, ancestors, dynamic
from tfrobust.graph.purity import CURE, refuse_random_before
from tfrobust.hoisting import Kept
from tfrobust.types import Model


class Reading:
    """The ops of a network on one batch of inputs.

    The network is called once, in the current graph, and its ops are read off
    that graph. So whatever doesn't depend on the input's value (weights,
    masks, quantised weights, batch statistics) is an ordinary tensor, through
    which gradients reach the weights; it needs no rule. Calls of functions,
    such as a SavedModel's signature, are entered.

    Outside of graphs the network gets one of its own, which is run once for
    those tensors. What is then done with the nodes is done at once, which for
    small networks takes a fraction of the time of tracing that too.

    Args:
        model: Any callable `model(x, training) -> outputs`.
        x: Inputs, shape `[batch, ...]`.

    Attributes:
        training: Whether the network is called as in training.
        input: The `Node` of the network's input.
        nodes: Every `Node` on a way from input to output, in an order in which
            they can be run; the input first, the output last.
        output: The `Node` of the network's output.
        measured: Nodes whose shape some constant of the network is made from,
            and what they are computed from, as far as not in `nodes`.
        value: The network's outputs for x, a tensor.

    Raises:
        ValueError: If the output doesn't depend on the input, or a random op
            takes part.
        NotImplementedError: If a shape isn't known but for the batch, or the
            network changes a variable or calls Python on the way.
    """

    training = False
    cure = CURE

    def __init__(self, model: Model, x: tf.Tensor) -> None:
        if tf.executing_eagerly():
            self._read_and_run(model, x)
        else:
            self._read(model, x)
        for node in self.nodes:
            node.kept = Kept()

    def _read_and_run(self, model, x):
        """Reads the ops off a graph of their own, and runs what they read."""

        @tf.function(autograph=False)
        def run(x):
            self._read(model, x)
            known = [
                [given for given in node.inputs if tf.is_tensor(given)]
                for node in self.nodes
            ]
            return self.value, known

        self.value, known = run.get_concrete_function(x)(x)
        for node, values in zip(self.nodes, known, strict=True):
            rest = iter(values)
            node.inputs = [
                next(rest) if tf.is_tensor(given) else given
                for given in node.inputs
            ]

    def _read(self, model, x):
        """Calls the network in the current graph and reads its ops."""
        # Without its size, which the network must not read off as a number.
        x = tf.compat.v1.placeholder_with_default(x, [None, *x.shape[1:]])
        before = len(x.graph.get_operations())
        self.value = model(x, training=self.training)
        if not tf.is_tensor(self.value):
            raise TypeError(
                "The network must answer with one tensor. Received: "
                f"{type(self.value).__name__}. Name one of its outputs: pass "
                "tfr.Joined(network, output=name)."
            )
        operations = x.graph.get_operations()[before:]
        self.input = Node(None, 0, [], tuple(x.shape[1:]))
        measured: set[Node] = set()
        nodes = {x.ref(): self.input}
        frame = Frame(nodes, None, measured, in_training=self.training)
        frame.sweep(operations)
        self.output = frame.nodes.get(self.value.ref())
        if self.output is None:
            raise ValueError(
                "The network's output doesn't depend on its input, so there is "
                "nothing to bound. Does it call NumPy (tf.numpy_function)?"
            )
        refuse_random_before(self.value, operations, self.cure)
        self._found(measured)
        self.nodes = ancestors(self.output)
        for node in self.nodes:
            if node.type in LOOPS:
                raise NotImplementedError(
                    f"There is no rule to bound the loop {node.name!r}, whose "
                    "number of steps isn't known before it runs. Give its "
                    "input a fixed length; build a recurrent layer with "
                    "unroll=True."
                )
        for node in self.nodes:
            if node.shape is None or None in node.shape:
                raise NotImplementedError(dynamic(node))
        self.measured = [
            node
            for node in ancestors(*measured)
            if node.op and node not in self.nodes
        ]
        self.value.set_shape([None, *self.output.shape])

    def _found(self, measured):
        """Changes the nodes, once they are there."""
        fusion.shape(self.output, measured)


def run_nodes(
    nodes: list[Node], values: dict[Node, Any], functions: dict | None = None
) -> Any:
    """Runs nodes again, one after the other.

    Args:
        nodes: The nodes, each after those that it reads.
        values: The values of nodes before them, to which theirs are added.
        functions: What to call in the place of `run`, by node.

    Returns:
        The value of the last.
    """
    for node in nodes:
        run = (functions or {}).get(node, node.run)
        values[node] = run(*(values[given] for given in node.dependent))
    return values[nodes[-1]]
