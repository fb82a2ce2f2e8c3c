"""Ops of a network that isn't a function of its input alone."""

import re

import tensorflow as tf

from tfrobust.graph.node import BODIES

# They have a state, but don't change it.
_ONLY_READ = {
    "Assert",
    "PrintV2",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "VarHandleOp",
}
_RANDOM = re.compile(
    "Random|Rng|Multinomial|TruncatedNormal|SampleDistorted"
    "|Stateful(Uniform|StandardNormal)"
)


CURE = "Let its layer be random only when training=True."


def refuse_random_before(
    output: tf.Tensor, operations: list, cure: str
) -> None:
    """Refuses a random op among those that an output is made of.

    Also inside of the functions that it calls.

    Args:
        output: A tensor.
        operations: The ops of the network.
        cure: A sentence that says how to mend it.
    """
    inside = set(operations)
    seen, stack = set(), [output.op]
    while stack:
        op = stack.pop()
        if op in inside and op not in seen:
            seen.add(op)
            refuse_random(op, cure)
            for body in _bodies(op):
                for inner in body.outputs:
                    refuse_random_before(inner, body.get_operations(), cure)
            stack += [tensor.op for tensor in op.inputs]


def refuse_random(op: tf.Operation, cure: str = CURE) -> None:
    """Refuses an op if it is random; see `refuse_random_before`."""
    if _RANDOM.search(op.type):
        raise ValueError(
            "Bounds need a network whose outputs are a function of its input. "
            f"Received one with the random op {op.type} at {op.name!r}. {cure}"
        )


def writes(op: tf.Operation) -> bool:
    """Whether an op may change what it, or another one, returns next time.

    Such as an assignment to a variable, and a call of Python.
    """
    bodies = _bodies(op)
    if bodies:
        return any(
            writes(inner) for body in bodies for inner in body.get_operations()
        )
    known = op.type in _ONLY_READ or _RANDOM.search(op.type)
    return op.op_def.is_stateful and not known


def _bodies(op):
    """The graph of each function that an op calls."""
    found = []
    for attribute in op.op_def.attr:
        if attribute.type in BODIES:
            value = op.get_attr(attribute.name)
            for function in value if isinstance(value, list) else [value]:
                found.append(op.graph._get_function(function.name).graph)
    return found
