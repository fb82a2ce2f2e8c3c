"""How many terms an op sums up, which is what rounding depends on.

Every function takes a node and returns how many terms make a value, forward,
and a coefficient of what it reads, backward.
"""

import math


def everything(node):
    """How many terms a sum may have, forward and backward: all there are."""
    return sum(given.size for given in node.dependent), node.size


def added(node):
    """Those of an addition; back to what was broadcast it is a sum."""
    smallest = min(given.size for given in node.dependent)
    return len(node.inputs), node.size // max(1, smallest)


def averaged(node):
    """Those of a sum over some axes."""
    return node.dependent[0].size // max(1, node.size), 1


def pooled(node):
    """Those of a sum over windows, which may overlap."""
    window = math.prod(node.op.get_attr("ksize"))
    return window, window


def multiplied(node):
    """Those of a product with a matrix, be it transposed."""
    longest = max(node.inputs[1].shape[-2:])
    return longest, longest


def convolved(node):
    """Those of a convolution of volumes."""
    *window, channels, filters = node.inputs[1].shape
    return math.prod(window) * channels, math.prod(window) * filters
