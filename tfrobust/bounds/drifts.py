"""How far rounding moves what activations read."""

import tensorflow as tf

from tfrobust.bounds import rounding


class Drifts:
    """The drift of each node: what rounding may have added since it began.

    Between two activations a network is a linear function. What float32 makes
    of it, in whatever order it sums, differs from that function of the very
    values that the activations before returned by at most the drift; so does
    what a backward pass makes of it. The lines of the next activation are moved
    apart by that much, and nothing more needs to know of rounding.

    Args:
        intervals: Maps nodes to their intervals; those that a drift asks for
            must be known when it is asked for.

    Reference: Higham, 2002, Accuracy and Stability of Numerical Algorithms,
    section 3.5.
    """

    def __init__(self, intervals):
        self._intervals, self._known = intervals, {}

    def of(self, node):
        """The drift of a node, `[batch, ...]`; None if it is exact."""
        if node.op is None or not node.rule.linear:
            return None
        if node not in self._known:
            self._known[node] = node.rule.drift(
                node,
                [self.of(given) for given in node.dependent],
                [self._intervals[given] for given in node.dependent],
            )
        return self._known[node]

    def lines(self, node, how=None, free=None):
        """The lines of a node that isn't linear, which hold in float32.

        Args:
            node: The node.
            how: The rule to take them from, in place of the node's.
            free: The choice among them, `[batch, forms, ...]`; None for
                the default lines.
        """
        (given,) = node.dependent
        lower, upper = self._intervals[given]
        parts = lower, upper, self.moved(given)
        if free is not None:
            parts = tuple(part[:, tf.newaxis] for part in parts)
        lower, upper, moved = parts
        return (how or node.rule).relaxation(node, lower, upper, free, moved)

    def moved(self, node):
        """How far rounding may move what reads a node once, `[batch, ...]`."""
        lower, upper = self._intervals[node]
        # Slopes, their products and the sum of both lines take a dozen.
        moved, drift = rounding.spare(lower, upper, 8), self.of(node)
        return moved if drift is None else moved + drift


def boxes(intervals):
    """Intervals widened by what rounding may add to a sum over each."""
    widened = {}
    for node, (lower, upper) in intervals.items():
        spare = rounding.spare(lower, upper, node.size)
        widened[node] = lower - spare, upper + spare
    return widened
