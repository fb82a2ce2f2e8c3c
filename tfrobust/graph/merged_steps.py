"""A layer of every step of a sequence, steps of all examples in one batch."""

from functools import partial

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node, readers_of
from tfrobust.graph.parts import part
from tfrobust.graph.time_major import stack, step


def fuse(nodes: list[Node], measured: set[Node]) -> None:
    """Recognises `Reshape(ops(Reshape(x)))`, which merges batch and steps.

    In between, an example of the batch is a step; the ops are computed step by
    step, and their results stacked.

    Args:
        nodes: Every node on a way to the output, each after those it reads.
        measured: Nodes whose shapes were read. What was then said holds for a
            batch of any size, so of one step's examples as of all; what is
            taken apart leaves the set.
    """
    readers = readers_of(nodes)
    for node in nodes:
        if _merges(node):
            region, ends = _region(node, readers)
            if ends:
                _take_apart(node, [n for n in nodes if n in region], ends)
                measured -= {node, *region}


def _merges(node):
    """Whether the steps of each example become examples of their own."""
    if node.type != "Reshape" or not node.shape or None in node.shape:
        return False
    whole = node.inputs[0]
    return bool(whole.batched and whole.shape and whole.shape[1:] == node.shape)


def _region(merged, readers):
    """What works on the steps, and what brings them back; both may be empty."""
    steps = merged.inputs[0].shape[0]
    inside, ends, pending = set(), [], [merged]
    while pending:
        given = pending.pop()
        for node in readers[given]:
            if node.type == "Reshape" and node.shape == (steps, *given.shape):
                ends.append(node)
            elif node not in inside and readers[node]:
                if not node.shape or None in node.shape:
                    return set(), []
                inside.add(node)
                pending.append(node)
    alone = all(g in inside or g is merged for n in inside for g in n.dependent)
    return (inside, ends) if alone else (set(), [])


def _take_apart(merged, inside, ends):
    """Computes each step by copies of the ops."""
    whole = merged.inputs[0]
    results: dict[Node, list[Node]] = {end: [] for end in ends}
    for k in range(whole.shape[0]):
        copies = {merged: part(merged, "Step", [whole], partial(step, k))}
        for node in inside:
            inputs = [
                copies[given] if isinstance(given, Node) else given
                for given in node.inputs
            ]
            copies[node] = Node(
                node.op, node.index, inputs, node.shape, node.batched
            )
        for end in ends:
            results[end].append(copies[end.inputs[0]])
    for end in ends:
        become(end, "Steps", results[end], stack)
