"""The ops of one function body."""

from typing import Any

from tfrobust.graph.counts import computed
from tfrobust.graph.loops import LOOPS, on_lists, unroll
from tfrobust.graph.node import Node, rerun
from tfrobust.graph.of_batch import taken
from tfrobust.graph.pairs import READERS, here, sized
from tfrobust.graph.purity import refuse_random, writes
from tfrobust.graph.sizes import Sizes

# Their outputs are their inputs.
_SAME = {
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "CheckNumerics",
    "EnsureShape",
    "PlaceholderWithDefault",  # Of a network that was read before.
    "Snapshot",
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


class Frame:
    """The ops of one function body.

    Args:
        nodes: Maps references of tensors that depend on the network's input to
            their nodes.
        outer: Maps references of the body's inputs to tensors of the graph in
            which the trace is used. None if the body is that graph itself.
        measured: A set to which nodes are added whose shape is read.
        batch: The size of the batch, if the body is made for one.
        in_training: Whether statistics of the batch are constants, see
            `of_batch`.
    """

    def __init__(self, nodes, outer, measured, batch=None, in_training=False):
        self.nodes, self.outer, self.batch = nodes, outer, batch
        self.in_training = in_training
        self.sizes = Sizes(nodes, self._outside, measured)
        self.measured = measured
        self.known: dict[Any, Any] = {}

    def sweep(self, operations):
        """Makes nodes of all ops that depend on the input, in their order."""
        for op in operations:
            tensors = list(op.inputs)
            depends = any(tensor.ref() in self.nodes for tensor in tensors)
            if depends and self.in_training and taken(self, op):
                continue
            if depends and writes(op):
                mend = "Call its layer with training=False, or replace it."
                if self.in_training:
                    mend = "Let its layer have no tf.function of its own."
                raise NotImplementedError(
                    f"The op {op.type} at {op.name!r} changes a state, or "
                    "calls Python, so that the network isn't a function of "
                    f"its input alone and can't be bounded. {mend}"
                )
            if on_lists(self, op) or op.type in READERS or not depends:
                continue
            if op.type in _SAME:
                for output, given in zip(op.outputs, tensors, strict=True):
                    self._alias(output, given)
            elif op.type in _CALLS:
                self._enter(op)
            elif op.type not in LOOPS or not unroll(self, op):
                # The shape of a reshape is its node's, whatever it is given.
                moves = op.type == "Reshape" and tensors[0].ref() in self.nodes
                given = tensors[:1] if moves else tensors
                inputs = [self.resolve(tensor) for tensor in given]
                for index, output in enumerate(op.outputs):
                    node = self.node(output, inputs, output.shape)
                    if node.shape is None or None in node.shape:
                        node.shape = self.sizes.shape(op, index)
                    if moves and node.shape is None:
                        node.target = self.passed(tensors[1])
                    self.nodes[output.ref()] = node

    def node(self, tensor, inputs, shape):
        """A node for a tensor, of this shape, batch included."""
        first = shape[0] if shape.rank else None
        batched = shape.rank != 0 and first in (None, self.batch)
        rest = None if shape.rank is None else tuple(shape[1:])
        return Node(tensor.op, tensor.value_index, inputs, rest, batched)

    def resolve(self, tensor):
        """The node of a tensor, or what it is outside of this body.

        Of what is made from the shape of a node, the value for one example;
        None if it differs by the size of the batch.
        """
        known = self.nodes.get(tensor.ref())
        if known is not None:
            return known
        if tensor.ref() in self.known:
            return self.known[tensor.ref()]
        if self.sizes.takes_part(tensor):
            value = self.sizes.constant(tensor)
        else:
            value = self._outside(tensor)
        self.known[tensor.ref()] = value
        return value

    def _outside(self, tensor):
        """What a tensor is outside of this body."""
        if self.outer is None:
            return tensor
        if tensor.ref() not in self.outer:
            op = tensor.op
            refuse_random(op)
            inputs = [self.resolve(given) for given in op.inputs]
            opened = any(i is None for i in inputs)
            if opened:
                outputs = [None] * len(op.outputs)
            else:
                outputs = computed(op, inputs) or rerun(op, inputs)
            for output, value in zip(op.outputs, outputs, strict=True):
                self.outer[output.ref()] = value
        return self.outer[tensor.ref()]

    def _alias(self, output, given):
        if given.ref() in self.nodes:
            self.nodes[output.ref()] = self.nodes[given.ref()]
        elif self.outer is not None:
            self.outer[output.ref()] = self.resolve(given)

    def _enter(self, op):
        """Sweeps the body of a function that is called."""
        body = op.graph._get_function(op.get_attr("f").name).graph
        frame = self.inside(body, [self.passed(given) for given in op.inputs])
        frame.sweep(body.get_operations())
        # A body whose gradient was taken has intermediate outputs at its end.
        for output, inner in zip(op.outputs, body.outputs, strict=False):
            self.give(output, frame.passed(inner))

    def inside(self, body, values):
        """The frame of a body, not yet swept.

        Args:
            body: The graph of a function.
            values: What it is called with, as `passed` gives it.
        """
        sizes_of_batch = [
            parameter.shape[0]
            for parameter, value in zip(body.inputs, values, strict=True)
            if isinstance(value, Node) and parameter.shape.rank
        ]
        frame = Frame({}, {}, self.measured, *sizes_of_batch[:1])
        for parameter, value in zip(body.inputs, values, strict=True):
            frame.give(parameter, value)
        return frame

    def passed(self, tensor):
        """What another body is given in the place of a tensor.

        Returns:
            Its node, or list; or what it is for one example and for two, None
            if that isn't known: whoever reads it is then refused.
        """
        found = self.nodes.get(tensor.ref())
        if found is not None:
            return found
        try:
            if self.sizes.takes_part(tensor):
                return self.sizes.pair(tensor)
            value = self.resolve(tensor)
        except (NotImplementedError, ValueError):
            return None
        return None if value is None else (value, value)

    def give(self, tensor, value):
        """Tells what a tensor is, as `passed` gives it."""
        if value is None or isinstance(value, tuple) and sized(value):
            self.sizes.give(tensor, value)
        elif not isinstance(value, tuple):
            self.nodes[tensor.ref()] = value
        elif self.outer is None:
            self.known[tensor.ref()] = here(value[0])
        else:
            self.outer[tensor.ref()] = here(value[0])
