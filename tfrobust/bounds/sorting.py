"""Pairs of features that are sorted: `tfrobust.layers.MinMax`."""

from typing import Any

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.linear import Linear
from tfrobust.bounds.record import RULES, Record
from tfrobust.graph import Node
from tfrobust.graph.sorting import in_pairs


class Sorting(Linear):
    """A sum of a value and of the gaps in its pairs, which moves its values.

    Lines are those of the sum: `max(a, b) = b + max(a - b, 0)`. Intervals are
    those of sorted pairs, which are tighter: both rise in either of a pair.
    """

    moves_as_a_whole = True

    def interval(self, node: Node, intervals: list) -> tuple:
        """The interval of a node from those of its dependent inputs."""
        lower, upper = intervals[0]
        axis = node.op.detail
        return in_pairs(lower, axis), in_pairs(upper, axis)


def moves_as_a_whole(node: Node) -> bool:
    """Whether it moves the values that it reads first, the rest says where."""
    return getattr(node.rule, "moves_as_a_whole", False)


def _both(node: Any) -> bool:
    return len(node.dependent) == len(node.inputs) == 2


def _sizes(node, x, gap):
    """The magnitudes of both terms of the sum: `b + gap` and `a - gap`."""
    first, second = tf.split(x, 2, node.op.detail)
    return tf.concat([second + gap, first + gap], node.op.detail)


RULES["MinMax"] = Record(Sorting(rounding.added, summed=_sizes), _both)
