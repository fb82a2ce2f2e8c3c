"""How much memory a graph takes, read from its ops."""

import collections

import numpy as np
import tensorflow as tf

# What is the memory of its first input, under another shape or name.
_SAME = (
    "EnsureShape ExpandDims Identity IdentityN PreventGradient Reshape "
    "Squeeze StopGradient"
).split()
# What is there already, whatever runs.
_GIVEN = ("Const", "Placeholder", "ReadVariableOp")
_BODIES = ("body", "cond", "then_branch", "else_branch", "f")
# A kernel works in copies of its own, and what is freed isn't reused at once:
# measured, batches take up to 1.6 times what is alive.
_SPARE = 2


def bytes_of(graph: tf.Graph) -> int:
    """What a verifier's graph takes for one example, at most.

    The largest sum of tensors that are alive at once, loops and branches
    included, and as much again. Lengths that aren't known count as 1, be it of
    the batch or of the forms that are open at once, which loops hold in pieces
    of fixed size.
    """
    return _SPARE * _alive(graph)


def _alive(graph):
    """The largest sum of tensors from their op to the last that reads them."""
    operations = graph.get_operations()
    sizes, owner, last = _tensors(operations, graph.outputs)
    ending = collections.defaultdict(list)
    for name, place in last.items():
        ending[place].append(name)
    now = most = 0
    for place, op in enumerate(operations):
        now += sum(sizes[o.name] for o in op.outputs if owner[o.name] == o.name)
        most = max(most, now + _inside(graph, op))
        now -= sum(sizes[name] for name in ending[place])
    return most


def _tensors(operations, outputs):
    """By name: sizes, whose memory each is, and the place of its last use."""
    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for place, op in enumerate(operations):
        for tensor in op.inputs:
            last[owner[tensor.name]] = place
        for number, tensor in enumerate(op.outputs):
            shared = op.type in _SAME and len(op.inputs) > number
            name = owner[op.inputs[number].name] if shared else tensor.name
            owner[tensor.name], last[name] = name, place
            sizes[tensor.name] = 0 if op.type in _GIVEN else _size(tensor)
    for tensor in outputs:
        last[owner[tensor.name]] = len(operations)
    return sizes, owner, last


def _inside(graph, op):
    """What the functions take that an op calls."""
    called = {attribute.name for attribute in op.op_def.attr}
    found = 0
    for name in called.intersection(_BODIES):
        function = graph._get_function(getattr(op.get_attr(name), "name", ""))
        inner = getattr(function, "graph", None)
        found = max(found, _alive(inner) if inner is not None else 0)
    return found


def _size(tensor):
    if tensor.shape.rank is None:
        return 0
    lengths = [length or 1 for length in tensor.shape.as_list()]
    return int(np.prod(lengths)) * tensor.dtype.size
