"""Choices between functions of one value, recognised as one function."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node, rerun
from tfrobust.graph.pieces import Pieces

_DEPTH = 12


def fuse(nodes: list[Node]) -> None:
    """Recognises what chooses by a comparison of z with constants.

    Such as `SelectV2(Greater(z, c), z, 0)`, with all that is computed of z
    alone around it. Other functions of z keep the rules of their ops.
    """
    if any(map(_chooses, nodes)):
        for node in reversed(nodes):
            _fuse(node)


def _fuse(node):
    if node.type not in _RULES or node.shape is None:
        return
    if not _number_type(node):
        return
    for source in _sources(node):
        region: dict = {}
        found = _pieces(node, source, region)
        # Bounds know the limits at an edge, and what lies between them.
        if found and found.between() and any(map(_chooses, region)):
            function = _function(node, source)
            become(node, "Pieces", [source], function, detail=found)
            return


def _chooses(node):
    """Whether an op has no rule of its own, but has one as such a choice."""
    if node.type == "LeakyRelu":
        return not 0 <= node.op.get_attr("alpha") <= 1
    return node.type in ("SelectV2", "Cast")


def _sources(node):
    """Nodes of its shape that it may be a function of, nearest first."""
    found, edge = [], [node]
    for _ in range(_DEPTH):
        edge = [given for other in edge for given in other.dependent]
        edge = [given for given in dict.fromkeys(edge) if given not in found]
        found += edge
    return [
        other
        for other in found
        if other.shape == node.shape and _number_type(other)
    ]


def _number_type(node):
    return not node.op or node.op.outputs[node.index].dtype == tf.float32


def _pieces(node, source, region):
    """What a node is of the source; None if that isn't known."""
    if node is source:
        return Pieces.identity()
    if node not in region:
        region[node] = None
        rule = _RULES.get(node.type)
        if rule is None or node.index or node.shape != source.shape:
            return None
        given = []
        for k, other in enumerate(node.inputs):
            if isinstance(other, Node):
                given.append(_pieces(other, source, region))
            else:
                given.append(_constant(node.constant(k)))
        if None not in given:
            region[node] = rule(node, *given)
    return region[node]


def _constant(value):
    """A number, or an array of one number."""
    if value is None or value.dtype != "float32" or not value.size:
        return None
    first = value.flat[0]
    finite = abs(first) < 1e30
    return Pieces.constant(first) if finite and (value == first).all() else None


def _function(node, source):
    """What the ops make of the source, again."""
    if node is source:
        return lambda x: x
    op = node.op
    parts = [
        _function(given, source)
        if isinstance(given, Node)
        else _kept(node.constant(k).flat[0])
        for k, given in enumerate(node.inputs)
    ]
    return lambda x: rerun(op, [part(x) for part in parts])[0]


def _kept(value):
    return lambda x: value


def _below(first, second, equal):
    """Whether the first is less, or what `equal` says if both are the same."""
    found = first.above(second, not equal)
    return found and found.opposite()


def _leaky(node, x):
    slope = Pieces.constant(node.op.get_attr("alpha"))
    above = x.above(Pieces.constant(0.0))
    return above and above.chosen(x, x.times(slope))


def _number(node, x):
    """1 for what is true."""
    types = node.op.get_attr("SrcT"), node.op.get_attr("DstT")
    return x.number() if types == (tf.bool, tf.float32) else None


def _power(node, x, exponent):
    two = Pieces.constant(2.0)
    return x.times(x) if exponent == two else None


def _quotient(node, x, divisor):
    """By a power of two, or whatever has an exact product."""
    if divisor.edges or len(divisor.parts[0]) > 1 or not divisor.parts[0][0]:
        return None
    factor = 1 / divisor.parts[0][0]
    inverse = Pieces((), ((factor,),), (abs(factor),))
    return x.times(inverse)


def _relu(x):
    return x.largest(Pieces.constant(0.0))


def _smallest(x, y):
    larger = x.negative().largest(y.negative())
    return larger and larger.negative()


_RULES: dict[str, Callable[..., Any]] = {
    "Abs": lambda node, x: x.largest(x.negative()),
    "Add": lambda node, x, y: x.plus(y),
    "AddV2": lambda node, x, y: x.plus(y),
    "Cast": _number,
    "Greater": lambda node, x, y: x.above(y),
    "GreaterEqual": lambda node, x, y: x.above(y, True),
    "LeakyRelu": _leaky,
    "Less": lambda node, x, y: _below(x, y, False),
    "LessEqual": lambda node, x, y: _below(x, y, True),
    "Maximum": lambda node, x, y: x.largest(y),
    "Minimum": lambda node, x, y: _smallest(x, y),
    "Mul": lambda node, x, y: x.times(y),
    "Neg": lambda node, x: x.negative(),
    "Pow": _power,
    "RealDiv": _quotient,
    "Relu": lambda node, x: _relu(x),
    "Relu6": lambda node, x: _smallest(_relu(x), Pieces.constant(6.0)),
    "SelectV2": lambda node, here, x, y: here.chosen(x, y),
    "Square": lambda node, x: x.times(x),
    "Sub": lambda node, x, y: x.plus(y.negative()),
}
