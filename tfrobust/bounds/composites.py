"""The rules of what several ops stand for; see `tfrobust.graph.Composite`."""

import math

from tfrobust.bounds import rounding
from tfrobust.bounds.linear import Linear
from tfrobust.bounds.record import RULES, Record


def _first(node):
    """What is multiplied comes first; the kernel is everyone's."""
    return node.positions == [0]


def _all(node):
    """Whatever is recognised keeps each example by itself."""
    return len(node.positions) == len(node.inputs)


def _dilated(node):
    """Terms of a sum over a window, and of what reads one value."""
    *window, channels, filters = node.inputs[1].shape
    return math.prod(window) * channels, math.prod(window) * filters


def _dilated_depthwise(node):
    """The same, of a single channel."""
    *window, _, multiplier = node.inputs[1].shape
    return math.prod(window), math.prod(window) * multiplier


RULES |= {
    "DilatedConvolution": Record(Linear(_dilated, weights=True), _first),
    "DilatedDepthwiseConvolution": Record(
        Linear(_dilated_depthwise, weights=True), _first
    ),
    "RowsMatMul": Record(Linear(rounding.multiplied, weights=True), _first),
    "Same": Record(Linear(), _first),
    "Step": Record(Linear(), _first),
    "Steps": Record(Linear(), _all),
}
