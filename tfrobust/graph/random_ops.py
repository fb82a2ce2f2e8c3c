"""Refusing networks whose outputs are no function of their inputs."""


def refuse_before(output, operations):
    """Refuses a random op among those that an output is made of.

    Args:
        output: A tensor.
        operations: The ops of the network.
    """
    inside = set(operations)
    seen, stack = set(), [output.op]
    while stack:
        op = stack.pop()
        if op in inside and op not in seen:
            seen.add(op)
            refuse(op)
            stack += [tensor.op for tensor in op.inputs]


def refuse(op):
    """Refuses an op if it is random."""
    if "Random" in op.type or op.type in ("Multinomial", "TruncatedNormal"):
        raise ValueError(
            "Bounds need a network whose outputs are a function of its input. "
            f"Received one with the random op {op.type} at {op.name!r}. Let "
            "its layer be random only when training=True."
        )
