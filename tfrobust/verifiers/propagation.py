"""Carrying intervals forward and linear functions backward."""

import tensorflow as tf

from tfrobust.verifiers.rules import rule


def interval(node, intervals):
    """Bounds of one node from the intervals of those that it reads."""
    pairs = [intervals[given] for given in node.dependent]
    lowers, uppers = zip(*pairs, strict=True)
    return rule(node).interval(node, lowers, uppers)


def backward(trace, node, functions, lines, boxes=None, rows=None, visit=None):
    """Bounds functions of a node from below by functions of the input.

    Args:
        trace: The `Trace`.
        node: The `Node` of which the functions are.
        functions: `Dense` or `Patches`.
        lines: Maps every op on the way that isn't linear to its lines.
        boxes: Maps nodes at which to stop to their intervals.
        rows: Which functions to keep, a pair of examples `[rows]` and numbers
            of functions `[2, rows]`; None for all. They are chosen at the
            first op that isn't linear: until there the functions are the same
            for every example.
        visit: Called with every node on the way and the functions of it.

    Returns:
        The functions of the input, None if all of them stopped before, and a
        constant `[batch, functions]`, such that their sum is a lower bound.
        Of chosen rows, `Rows` and a constant `[2, rows]`.
    """
    boxes = boxes or {}
    pending, constant = {node: functions}, 0.0
    begin = trace.nodes.index(node)
    for current in reversed(trace.nodes[1 : begin + 1]):
        found = pending.pop(current, None)
        if found is None:
            continue
        if visit:
            visit(current, found)
        if current in boxes:
            constant += found.minimum(*boxes[current])
            continue
        how = rule(current)
        if how.linear:
            offset = how.offset(current)
            if offset is not None:
                constant += found.dot(offset)
            pulled = [
                found.pull(how, current, k)
                for k in range(len(current.dependent))
            ]
        else:
            if rows is not None:
                found = found.chosen(*rows)
                pending = {k: v.chosen(*rows) for k, v in pending.items()}
                if not isinstance(constant, float):
                    constant = tf.gather(constant[0], rows[1])
                rows = None
            found, more = lines[current].pull(found)
            constant += more
            pulled = [found]
        for given, part in zip(current.dependent, pulled, strict=True):
            known = pending.get(given)
            pending[given] = (
                part if known is None else (known.plus(part, given.shape))
            )
    found = pending.get(trace.input)
    if visit and found is not None:
        visit(trace.input, found)
    return found, constant
