"""Normalisation by the statistics of each example itself.

`x * g - mean * g` is `(x - mean) * g`, of which one factor, the inverse of a
root of a sum of squares, keeps the product small: of n values whose mean square
is at most 1 none is larger than `sqrt(n)`.
"""

import math

import tensorflow as tf

from tfrobust.graph.bilinear import Count
from tfrobust.graph.composite import become
from tfrobust.graph.node import Node
from tfrobust.graph.parts import part


def fuse(node: Node) -> None:
    """Recognises a difference that is scaled, and a value by its own size."""
    shapes = [node.shape, *(given.shape for given in node.dependent)]
    if len(shapes) != 3 or any(s is None or None in s for s in shapes):
        return
    if node.type == "AddV2":
        _centred(node)
    elif node.type == "Mul":
        _scaled(node, *node.dependent)


def _centred(node):
    """`x * g + (shift - mean * g)`, the shift a constant or missing."""
    for first, second in (node.dependent, node.dependent[::-1]):
        mean, factor, shift = _negative_product(second)
        if mean is None or first.type != "Mul":
            continue
        pair = first.dependent
        if len(pair) != 2 or factor not in pair:
            continue
        (x,) = [other for other in pair if other is not factor] or [factor]
        ranks = {len(other.shape) for other in (x, mean, factor)}
        if x.shape != node.shape or ranks != {len(node.shape)}:
            continue
        gap = part(node, "Sub", [x, mean], tf.subtract, x.shape)
        _share(factor, x, mean, gap)
        product = part(node, "Same", [], tf.identity)
        if shift is None:
            product = node
        else:
            become(node, "AddV2", [product, shift], tf.add)
        count = Count(node.size)
        become(product, "Product", [gap, factor], tf.multiply, detail=count)
        _scaled(product, gap, factor, [x])
        return


def _negative_product(node):
    """The mean, its factor and the shift of `shift - mean * factor`."""
    shift = None
    if node.type == "AddV2" and len(node.dependent) == 1:
        (shift,) = [k for k in node.inputs if not isinstance(k, Node)]
        node = node.dependent[0]
    elif node.type == "Sub" and node.positions == [1]:
        shift, product = node.inputs
        if product.type == "Mul" and len(product.dependent) == 2:
            return *product.dependent, shift
    if node.type == "Mul" and len(node.dependent) == 2:
        for first, second in (node.dependent, node.dependent[::-1]):
            if first.type == "Neg":
                return first.dependent[0], second, shift
    return None, None, None


def _share(factor, x, mean, gap):
    """Lets the squares of the same difference read it."""
    squares = _squares(_inverse(factor)[0])
    if squares and squares[0].type == "SquaredDifference":
        if set(squares[0].dependent) == {x, mean}:
            become(squares[0], "Square", [gap], tf.square)


def _scaled(node, first, second, whole=()):
    """A value by the inverse root of its own squares, and by constants.

    Args:
        node: The product.
        first: One factor.
        second: The other.
        whole: What the value was a difference of, if products of that were
            subtracted instead.
    """
    for value, factor in ((first, second), (second, first)):
        root, scale = _inverse(factor)
        squares = _squares(root)
        if squares is None or value.shape != node.shape:
            continue
        if len(root.shape) != len(node.shape):
            continue
        square, total, floor = squares
        if square.type not in ("Square", "Mul"):
            continue
        # Of a product both factors: one may be a constant.
        if any(k is not value for k in square.inputs):
            continue
        _bounded_below(root, total, floor)
        limit = 1.0
        if total.type == "Mean":
            limit = math.sqrt(value.size / max(1, total.size))
        inputs, detail = [value, root, *whole], Count(node.size, limit)
        product = node if scale is None else part(node, "Same", [], tf.identity)
        if scale is not None:
            become(node, "Mul", [product, scale], tf.multiply)
        become(product, "Normalized", inputs, _times, detail=detail)
        return


def _times(x, factor, *whole):
    return x * factor


def _inverse(factor):
    """What is an inverse root, or one by a constant; and the constant."""
    if factor.type == "Mul" and len(factor.dependent) == 1:
        (scale,) = [k for k in factor.inputs if not isinstance(k, Node)]
        return factor.dependent[0], scale
    return factor, None


def _squares(root):
    """The squares, their sum or mean, and what the sum is at least.

    Of `rsqrt(sum + c)`, `rsqrt(max(sum, c))` and `min(rsqrt(sum), c)`; None of
    anything else.
    """
    floor = None
    if root.type == "Minimum":
        limit = _number(root)
        if not limit or not 1e-3 <= limit <= 1e15:
            return None
        root, floor = root.dependent[0], limit**-2
    if root.type != "Rsqrt":
        return None
    total = root.dependent[0]
    if floor is None:
        if total.type not in ("AddV2", "Maximum") or len(total.dependent) > 1:
            return None
        floor, total = _number(total), total.dependent[0]
    if not floor or floor < 1e-30 or total.type not in ("Mean", "Sum"):
        return None
    if root.shape != total.shape or root.dependent[0].shape != total.shape:
        return None
    square = total.dependent[0]
    if square.type not in ("Mul", "Square", "SquaredDifference"):
        return None
    if total.positions != [0] or total.constant(1) is None:
        return None
    return square, total, floor


def _number(node):
    """The constant that an op reads beside a value; None if it is none."""
    places = [k for k in (0, 1) if k not in node.positions]
    value = node.constant(places[0]) if places else None
    return value.item() if value is not None and value.size == 1 else None


def _bounded_below(root, total, floor):
    """Tells that what a root is taken of isn't below the constant."""
    if root.type == "Minimum":
        least = total
    else:
        least = root.dependent[0]
        if least.type == "Maximum":
            return
    bound = tf.constant(floor, tf.float32)
    clipped = part(root, "Maximum", [least, bound], tf.maximum, least.shape)
    become(root, "Rsqrt", [clipped], tf.math.rsqrt)
