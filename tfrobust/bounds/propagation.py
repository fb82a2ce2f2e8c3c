"""Carrying intervals forward and linear forms backward."""

import math
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.forms import Forms
from tfrobust.graph import Node, Trace


def interval(node: Node, intervals: dict) -> tuple:
    """The interval of one node from those of what it reads."""
    return node.rule.interval(node, [intervals[i] for i in node.dependent])


def backward(
    trace: Trace, forms: dict, lines: dict, boxes: dict | None = None
) -> tuple[Any, Any]:
    """Bounds a sum of linear forms of nodes by forms of the input.

    Args:
        trace: The `Trace`.
        forms: Maps each node to the `Forms` of it.
        lines: Maps every op on the way that isn't linear to its lines.
        boxes: Maps nodes at which to stop to their intervals.

    Returns:
        The forms of the input, None if all of them stopped before, and a
        constant `[*forms]`, such that their sum is a lower bound.
    """
    boxes, pending, constants = boxes or {}, dict(forms), []
    for node in reversed(trace.nodes[1:]):
        current = pending.pop(node, None)
        if current is None:
            continue
        if node in boxes:
            constants.append(current.minimum(*boxes[node]))
        elif node.rule.linear:
            constants += _pull(node, current, pending)
        else:
            found, constant = node.rule.pull(node, lines[node], current)
            constants.append(constant)
            # Of what reads several values, forms of each.
            found = found if isinstance(found, list) else [found]
            for given, pulled in zip(node.dependent, found, strict=True):
                if pulled is not None:
                    _add(pending, given, pulled)
    return pending.get(trace.input), rounding.total(constants)


def linear_part(trace: Trace, node: Node, forms: Forms) -> tuple[dict, Any]:
    """Carries forms of a node back to the last op that isn't linear.

    Until there they are the same for every example.

    Returns:
        The forms of all nodes that were reached, and a constant.
    """
    pending, constants = {node: forms}, []
    for current in reversed(trace.nodes):
        if current in pending and not current.rule.linear:
            break
        reached = pending.pop(current, None)
        if reached is not None:
            constants += _pull(current, reached, pending)
    return pending, rounding.total(constants)


def sources(
    trace: Trace, node: Node, forms: Forms, stops: Collection[Node]
) -> dict[Node, Forms]:
    """Carries forms of a node back through all that is linear.

    Args:
        trace: The `Trace`.
        node: The node.
        forms: Forms of it.
        stops: Nodes at which to stop, among them all that aren't linear.

    Returns:
        The forms of the input and of every stop, as far as they are reached;
        their sum differs from `forms` by a constant.
    """
    pending, found = {node: forms}, {}
    for current in reversed(trace.nodes):
        reached = pending.pop(current, None)
        if reached is None:
            continue
        if current.op is None or current in stops:
            found[current] = reached
        else:
            _pull(current, reached, pending)
    return found


def mixes(node: Node, known: dict) -> float:
    """How often what a node computes has summed over features.

    Infinite beyond the first op that isn't linear.
    """
    how = node.rule
    if not how.linear:
        return math.inf
    if len(node.dependent) > 1:
        return max(2, *(known[given] for given in node.dependent))
    alone = how.moves or how.factor(node, 0) is not None
    return known[node.dependent[0]] + (0 if alone else 1)


def _pull(node, forms, pending):
    """Adds the forms of what a linear op reads; returns constants."""
    how = node.rule
    for k, given in enumerate(node.dependent):
        pulled = forms.pull(how, node, k)
        if how.window(node) and given.op and given.rule.linear:
            # Its output ends where padding begins. Lines would drop that too.
            pulled = _inside(pulled, given.shape)
        _add(pending, given, pulled)
    offset = how.offset(node)
    return [] if offset is None else [forms.dot(offset)]


def _inside(forms, shape):
    """The same without coefficients outside of an image of this shape."""
    leaves = forms.window and forms.window.leaves(shape)
    return forms.scaled(tf.ones([1, *shape])) if leaves else forms


def _add(pending, node, forms):
    known = pending.get(node)
    if known is not None:
        forms = known.plus(forms, node.shape)
    pending[node] = forms


def consumers_of(trace: Trace) -> dict[Node, list[Node]]:
    """The ops that aren't linear and read a node, by node.

    Of parts that make up a whole value, such as the gates of an LSTM, they are
    those of the whole, which is bounded at once.
    """
    consumers: dict = {node: [] for node in trace.nodes}
    parts: dict = {node: [] for node in trace.nodes}
    for node in trace.nodes[1:]:
        for given in node.dependent:
            if not node.rule.linear:
                consumers[given].append(node)
            elif node.rule.moves and len(node.dependent) == 1:
                parts[given].append(node)
    for whole, found in parts.items():
        read = [part for part in found if consumers[part]]
        readers = [reader for part in read for reader in consumers[part]]
        # Of a ReLU's input only what may have either sign is bounded.
        hinges = any(getattr(reader.rule, "hinge", True) for reader in readers)
        enough = sum(part.size for part in read) >= whole.size
        if len(read) > 1 and enough and not hinges:
            consumers[whole] += readers
            consumers.update({part: [] for part in read})
    return consumers
