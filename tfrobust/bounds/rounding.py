"""What rounding to float32 may add, derived, for sums in any order.

A sum of n products that is computed in float32 differs from the exact one by at
most `n u / (1 - n u)` times the sum of their magnitudes, u being 2**-24, in
whatever order it is added up. That holds for the network and for the bounds on
it alike, so both are allowed for at once: as a share of the magnitudes, which
intervals, lines and boxes are widened by. `Drifts` carries it along the linear
ops between two activations, each of which knows how many terms it sums up.

Reference: Higham, 2002, Accuracy and Stability of Numerical Algorithms, section
3.1.
"""

import math
from typing import Any

import tensorflow as tf

from tfrobust.bounds.around import Around
from tfrobust.graph import Node

UNIT = 2.0**-24
# Roundings beside those of a sum: of its ends, a centre, a radius or a factor.
FEW = 4
# What may be lost to numbers too small for float32.
TINY = 1e-30
# How far an implementation of a curve may be from it, of 1 and of its value.
APPROXIMATION = 1e-6
# What is smaller counts as 0.
SMALLEST = 2.0**-126
# Ops whose values are never larger than what they are computed from.
_SHRINK = {"LeakyRelu", "Relu", "Relu6"}
# What the widths of all intervals must stay below.
LARGEST = 1e30


def share(roundings: int) -> float:
    """By what share of its magnitudes a sum of so many roundings may be off.

    Raises:
        NotImplementedError: If there are too many for a bound.
    """
    off = (roundings + FEW) * UNIT
    if off > 0.1:
        raise NotImplementedError(
            f"A sum of {roundings} terms is too long to bound its rounding. "
            "Compute it in several layers."
        )
    # The magnitudes are rounded as well.
    return off / (1 - 2 * off)


def size(lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """The largest magnitude between both ends; no gradient flows through it."""
    return tf.stop_gradient(tf.maximum(tf.abs(lower), tf.abs(upper)))


def spare(lower: tf.Tensor, upper: tf.Tensor, roundings: int = 0) -> tf.Tensor:
    """What so many roundings may add to an interval at either end."""
    return share(roundings) * size(lower, upper) + TINY


def widened(interval: tuple, roundings: int = 0) -> tuple:
    """An interval with what so many roundings may add at either end."""
    lower, upper = interval
    off = spare(lower, upper, roundings)
    return lower - off, upper + off


def total(values: list) -> Any:
    """The sum of some lower bounds, less what rounding may add to it.

    Args:
        values: Tensors that broadcast, and zeros that are numbers.

    Returns:
        A tensor; 0.0 if there is none.
    """
    values = [value for value in values if not isinstance(value, float)]
    if len(values) < 2:
        return values[0] if values else 0.0
    first, *rest = values
    magnitude = sum(map(tf.abs, rest), tf.abs(first))
    return sum(rest, first) - tf.stop_gradient(
        2 * len(values) * UNIT * magnitude
    )


class Magnitudes:
    """How large the values of a network may be, of each example.

    Small ones may vanish beside them: a coefficient that is too small for
    float32 becomes 0, and hides what it would multiply.
    """

    def __init__(self) -> None:
        self._sums: dict[Node, tf.Tensor] = {}
        self._count = 0

    def add(self, node: Node, interval: tuple) -> None:
        """Takes in the interval of a node, in the order of the trace."""
        rule = node.op and node.rule
        self._count += node.size
        if rule and (node.type in _SHRINK or rule.linear and rule.moves):
            return
        if not (rule and rule.linear):
            width = size(*interval)
        elif isinstance(interval, Around):
            # Wider than a share of the magnitudes that were summed up, and
            # after a constant as wide as before it.
            width = interval.radius
            if not interval.spare:
                self._sums.pop(node.dependent[0], None)
        else:
            lower, upper = interval
            width = upper - lower
        # Not every device's largest is NaN where a value is, but every sum is.
        axes = list(range(1, width.shape.rank))
        self._sums[node] = tf.reduce_sum(width, axes)

    @property
    def total(self) -> tf.Tensor:
        """At least the share `UNIT` of every magnitude, `[batch]`."""
        return tf.stop_gradient(tf.add_n(list(self._sums.values())))

    @property
    def finite(self) -> tf.Tensor:
        """Whether no value overflows, in any order of its sum; `[batch]`."""
        return self.total < LARGEST

    @property
    def hidden(self) -> tf.Tensor:
        """What vanished coefficients, and a rounded 0, may hide; `[batch]`.

        Each is a sum of fewer than `2**21` terms (see `share`), of which each
        may lose the smallest number of float32.
        """
        lost = self._count * 2.0**21 * SMALLEST
        return TINY + lost / UNIT * self.total


class Drifts:
    """The drift of each node: what rounding may have added since it began.

    Between two activations a network is a linear function. What float32 makes
    of it, in whatever order it sums, differs from that function of the very
    values that the activations before returned by at most the drift; so does
    what a backward pass makes of it. The lines of the next activation are moved
    apart by that much, and nothing more needs to know of rounding.

    Args:
        intervals: Maps nodes to intervals, known once a drift asks for them.
        stops: Linear nodes that begin anew, as activations do.
        backward: Whether a backward pass is covered, too.

    Reference: Higham, 2002, Accuracy and Stability of Numerical Algorithms,
    section 3.5.
    """

    def __init__(self, intervals: dict, stops: Any = (), backward: bool = True):
        self._intervals, self._known = intervals, dict[Node, Any]()
        self._stops, self._backward = stops, backward

    def of(self, node: Node) -> tf.Tensor | None:
        """The drift of a node, `[batch, ...]`; None if it is exact."""
        if node.op is None or node in self._stops or not node.rule.linear:
            return None
        if node not in self._known:
            given = node.dependent
            ends = [self._intervals[one] for one in given]
            self._known[node] = node.rule.drift(
                node, [*map(self.of, given)], ends, self._backward
            )
        return self._known[node]

    def lines(
        self, node: Node, how: Any = None, alpha: tf.Tensor | None = None
    ) -> Any:
        """The lines of a node that isn't linear, which hold in float32.

        Args:
            node: The node.
            how: The rule to take them from, in place of the node's.
            alpha: The choice among them, `[batch, forms, ...]`; None for
                the default lines.
        """
        planes = getattr(how or node.rule, "planes", None)
        if planes:
            chosen = () if alpha is None else (alpha,)
            return planes(node, [*map(self.parts, node.dependent)], *chosen)
        parts = self.parts(node.dependent[0])
        if alpha is not None:
            parts = tuple(part[:, tf.newaxis] for part in parts)
        lower, upper, moved = parts
        return (how or node.rule).relaxation(node, lower, upper, alpha, moved)

    def parts(self, node: Node) -> tuple:
        """The interval of a node, and how far rounding may move it."""
        return *self._intervals[node], self.moved(node)

    def moved(self, node: Node) -> tf.Tensor:
        """How far rounding may move what reads a node once, `[batch, ...]`."""
        lower, upper = self._intervals[node]
        # Slopes, their products and the sum of both lines take a dozen.
        moved, drift = spare(lower, upper, 8), self.of(node)
        return moved if drift is None else moved + drift


def boxes(intervals: dict) -> dict:
    """Intervals widened by what rounding may add to a sum over each."""
    return {node: widened(ends, node.size) for node, ends in intervals.items()}


# How many terms an op sums up for a value, forward, and, for a coefficient of
# what it reads, backward.


def everything(node: Node) -> tuple[int, int]:
    """How many terms a sum may have, forward and backward: all there are."""
    return sum(given.size for given in node.dependent), node.size


def added(node: Node) -> tuple[int, int]:
    """Those of an addition; back to what was broadcast it is a sum."""
    smallest = min(given.size for given in node.dependent)
    return len(node.inputs), node.size // max(1, smallest)


def averaged(node: Node) -> tuple[int, int]:
    """Those of a sum over some axes."""
    return node.dependent[0].size // max(1, node.size), 1


def pooled(node: Node) -> tuple[int, int]:
    """Those of a sum over windows, which may overlap."""
    window = math.prod(node.op.get_attr("ksize"))
    return window, window


def multiplied(node: Node) -> tuple[int, int]:
    """Those of a product with a matrix, be it transposed."""
    longest = max(node.inputs[1].shape[-2:])
    return longest, longest


def convolved(node: Node) -> tuple[int, int]:
    """Those of a convolution of volumes."""
    *window, channels, filters = node.inputs[1].shape
    return math.prod(window) * channels, math.prod(window) * filters
