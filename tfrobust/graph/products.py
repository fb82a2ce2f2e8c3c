"""Expressions of one value that are known as one curve."""

import numpy as np

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node, rerun

# They have no attribute but their type; and those whose order tells nothing.
_OPS = set(
    "Elu Erfc Expm1 Greater Maximum Minimum Neg Pow RealDiv Relu6 SelectV2 "
    "Sigmoid Softplus Tanh".split()
)
_SYMMETRIC = {"AddV2", "Mul"}
_LAST = {"AddV2", "Mul", "SelectV2"}
_DEPTH = 9
# What a constant of a curve may be.
_SMALLEST, _LARGEST = 0.01, 100.0


def _number(value):
    return float(np.float32(value)).hex()


def _call(op, *terms):
    listed = sorted(terms) if op in _SYMMETRIC else terms
    return f"{op}({', '.join(listed)})"


def _known():
    """The ways in which both Kerases and TensorFlow write each curve."""
    half, one = _number(0.5), _number(1)
    yield "Silu", _call("Mul", "x", _call("Sigmoid", "x"))
    scaled = _call("Sigmoid", _call("Mul", "x", one))
    yield "Silu", _call("Mul", "x", scaled)
    yield (
        "Mish",
        _call("Mul", "x", _call("Tanh", _call("Softplus", "x"))),
    )
    erfc = _call(
        "Erfc", _call("Mul", _call("Neg", "x"), _number(0.7071067811865476))
    )
    yield "Gelu", _call("Mul", _call("Mul", "x", half), erfc)
    cube = _call("Mul", _call("Pow", "x", _number(3)), _number(0.044715))
    inner = _call("Mul", _call("AddV2", "x", cube), _number(0.7978845608028654))
    gate = _call("AddV2", _call("Tanh", inner), one)
    yield "GeluTanh", _call("Mul", _call("Mul", "x", half), gate)
    clipped = _call("Relu6", _call("AddV2", "x", _number(3)))
    hard = _call("RealDiv", clipped, _number(6))
    yield "HardSilu", _call("Mul", "x", hard)


def _known_with(constant):
    """The same of curves that have a constant."""
    zero, number = _number(0), _number(constant)
    scaled = _call("Sigmoid", _call("Mul", "x", number))
    yield "ScaledSilu", _call("Mul", "x", scaled)
    below = _call("RealDiv", _call("Minimum", "x", zero), number)
    below = _call("Mul", number, _call("Expm1", below))
    yield "Celu", _call("AddV2", _call("Maximum", "x", zero), below)
    elu, above = _call("Elu", "x"), _call("Greater", "x", zero)
    scaled = _call("Mul", elu, number)
    yield "ScaledElu", _call("SelectV2", above, elu, scaled)


_KINDS = {text: kind for kind, text in _known()}


def fuse(node: Node) -> None:
    """Recognises a curve by all of its ops and the bits of its constants."""
    if node.type not in _LAST or len(node.dependent) < 2:
        return
    for source in _sources(node):
        constants: set = set()
        text = _text(node, source, _DEPTH, constants)
        if text in _KINDS:
            become(node, _KINDS[text], [source], _function(node, source))
            return
        for constant in constants:
            for kind, known in _known_with(constant):
                if text == known and _SMALLEST <= constant <= _LARGEST:
                    function = _function(node, source)
                    become(node, kind, [source], function, detail=constant)
                    return


def _sources(node):
    """Nodes of its shape that it may be a function of, nearest first."""
    found, edge = [], [node]
    for _ in range(_DEPTH):
        edge = [given for other in edge for given in other.dependent]
        edge = [given for given in edge if given not in found]
        found += edge
    return [other for other in found if other.shape == node.shape]


def _text(node, source, depth, constants):
    """A node as an expression of x; empty if it is none of those known.

    Adds all numbers to `constants`.
    """
    if node is source:
        return "x"
    if not isinstance(node, Node) or node.type not in _OPS | _SYMMETRIC:
        return ""
    if not depth or node.shape != source.shape or node.index:
        return ""
    terms = []
    for k, given in enumerate(node.inputs):
        if isinstance(given, Node):
            terms.append(_text(given, source, depth - 1, constants))
        else:
            value = node.constant(k)
            scalar = value is not None and value.shape == ()
            terms.append(_number(value) if scalar else "")
            constants |= {float(value)} if scalar else set()
    return _call(node.type, *terms) if all(terms) else ""


def _function(node, source):
    """What the ops make of the source, again."""
    if node is source:
        return lambda x: x
    op = node.op
    parts = [
        _function(given, source)
        if isinstance(given, Node)
        else _constant(node.constant(k))
        for k, given in enumerate(node.inputs)
    ]
    return lambda x: rerun(op, [part(x) for part in parts])[0]


def _constant(value):
    return lambda x: value
