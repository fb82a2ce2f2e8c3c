"""One op of a traced network."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Node:
    """One output of an op that depends on the network's input.

    Args:
        op: The `tf.Operation`; None for the network's input.
        index: Which of the op's outputs this is.
        inputs: What the op reads: a `Node` for what depends on the network's
            input, otherwise a tensor of the graph in which the trace is used
            (its value, outside of graphs), or None if that is known only while
            the network runs. Of a reshape, what is reshaped alone.
        shape: Static shape without the batch dimension, a tuple.
        batched: Whether its first axis is that of the batch, as far as shapes
            tell.

    Attributes:
        positions: Which of the inputs are nodes.
        dependent: Those nodes.
        kept: What follows from this node alone, a `hoisting.Kept`.
        target: Of a reshape whose shape isn't known, what it was asked for, as
            `Frame.passed` gives it; else None.
        record: What is known of its op, which whoever asks looks up once; None
            before.
    """

    def __init__(
        self,
        op: Any,
        index: int,
        inputs: list,
        shape: Any,
        batched: bool = True,
    ) -> None:
        self.op, self.index, self.shape = op, index, shape
        self.batched = batched
        self.reads(inputs)
        self.kept: Any = None
        self.target: Any = None
        self.record: Any = None

    def reads(self, inputs: list) -> None:
        """Sets what the op reads; see `Node`."""
        self.inputs = inputs
        self.positions = [
            k for k, given in enumerate(inputs) if isinstance(given, Node)
        ]
        self.dependent = [inputs[k] for k in self.positions]

    @property
    def rule(self) -> Any:
        """How to bound the op, as its record says."""
        return self.record.rule

    @property
    def type(self) -> str:
        """The type of the op, such as `"Conv2D"`."""
        return self.op.type if self.op else "Input"

    @property
    def name(self) -> str:
        """The op's name, which begins with the names of its layers."""
        return self.op.name if self.op else "input"

    @property
    def size(self) -> int:
        """The number of values for each example."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    def constant(self, position: int) -> Any:
        """The value of an input that tracing knows, a NumPy array or None."""
        given = self.inputs[position]
        if given is None or isinstance(given, Node):
            return None
        return tf.get_static_value(given)

    def run(
        self, *values: tf.Tensor, constants: Callable | None = None
    ) -> tf.Tensor:
        """Runs the op again, on any number of examples.

        Args:
            *values: One tensor for each entry of `dependent`, in that order.
            constants: A function applied to every other input; None for none.
        """
        if self.type == "Reshape":
            # What it is given may hold the size of the batch that was traced.
            return tf.reshape(values[0], [-1, *self.shape])
        rest = iter(values)
        inputs = []
        for position, given in enumerate(self.inputs):
            if isinstance(given, Node):
                inputs.append(next(rest))
            elif _SIZED.get(self.type) == position:
                # It was told the size of the batch that was traced.
                inputs.append([tf.shape(values[0])[0], *self.shape])
            elif given is None:
                raise NotImplementedError(dynamic(self))
            else:
                given = constants(given) if constants else given
                if self.type in _LISTS and given.shape.rank:
                    given = _repeated(given, values[0])
                inputs.append(given)
        return rerun(self.op, inputs)[self.index]

    def __repr__(self):
        return f"<{self.type} {self.name!r} {self.shape}>"


def ancestors(*outputs: Node) -> list[Node]:
    """All nodes on which they stand, each after those that it reads."""
    done, order = set(), []
    stack = [(output, False) for output in outputs]
    while stack:
        node, entered = stack.pop()
        if entered:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(given, False) for given in reversed(node.dependent)]
    return order


def readers_of(nodes: list[Node]) -> dict[Node, list[Node]]:
    """For each of some nodes, which of them read it."""
    readers: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for given in node.dependent:
            readers[given].append(node)
    return readers


def rerun(op: tf.Operation, inputs: list) -> list:
    """Runs a copy of `op` on other inputs, in the current graph or eagerly.

    Args:
        op: A `tf.Operation` without functions among its attributes, or a
            `Composite`.
        inputs: One tensor for each of the op's inputs.

    Returns:
        The list of outputs.
    """
    if hasattr(op, "function"):  # A `Composite`.
        return [op.function(*inputs)]
    if op.type == "Const":
        return [tf.constant(tf.make_ndarray(op.get_attr("value")))]
    if any(attribute.type in BODIES for attribute in op.op_def.attr):
        raise NotImplementedError(
            f"The op {op.type} at {op.name!r} calls a function, such as a "
            "branch of tf.cond, inside of a tf.function or SavedModel, so it "
            "can't be run again. Compute what doesn't depend on the input "
            "outside of that function, or without control flow."
        )
    function, names = _function(op.type)
    arguments, rest = {}, list(inputs)
    for position, argument in enumerate(op.op_def.input_arg):
        # TensorFlow calls some arguments by other names than their op does.
        name = argument.name if argument.name in names else names[position]
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            arguments[name] = [rest.pop(0) for _ in range(count)]
        else:
            arguments[name] = rest.pop(0)
    for attribute in op.op_def.attr:
        name = _RENAMED.get(attribute.name, attribute.name)
        if name in names:
            value = op.get_attr(attribute.name)
            text = isinstance(value, bytes)
            arguments[name] = value.decode() if text else value
        elif attribute.name not in _inferred(op):
            raise NotImplementedError(
                f"The op {op.type} at {op.name!r} can't be run again: nobody "
                f"knows the name of its attribute {attribute.name!r}."
            )
    outputs = function(**arguments)
    several = len(op.outputs) != 1 or isinstance(outputs, (list, tuple))
    return list(outputs) if several else [outputs]


# They read a list of values of one shape, batch included.
_LISTS = {"AddN", "ConcatV2", "Pack"}
# They are told the shape of what they return, batch included, at this position.
_SIZED = {
    "BroadcastTo": 1,
    "Conv2DBackpropInput": 0,
    "Conv3DBackpropInputV2": 0,
}
_RENAMED = {"squeeze_dims": "axis"}
# Types of attributes that are functions.
BODIES = {"func", "list(func)"}


def _repeated(constant, value):
    """A constant `[1, ...]` for each example of a value."""
    shape = tf.concat([tf.shape(value)[:1], tf.shape(constant)[1:]], axis=0)
    return tf.broadcast_to(constant, shape)


def _inferred(op):
    """Names of the attributes that follow from an op's inputs."""
    names = set()
    for argument in op.op_def.input_arg:
        names |= {argument.type_attr, argument.number_attr}
        names.add(argument.type_list_attr)
    return names


@functools.cache
def _function(name):
    """The function that runs an op, and the names of its arguments."""
    function = getattr(tf.raw_ops, name)
    return function, list(inspect.signature(function).parameters)


def dynamic(node: Node) -> str:
    """The sentence for a node whose shape isn't fixed."""
    return (
        f"The shape of the op {node.type} at {node.name!r} isn't known before "
        "the network runs, or its first axis isn't that of the batch, so it "
        "can't be bounded. Give the network fixed shapes, but for the batch."
    )
