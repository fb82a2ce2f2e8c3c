"""How far each value of a network can move, in Euclidean length."""

import math
from typing import Any

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.propagation import interval, sources
from tfrobust.bounds.record import look_up
from tfrobust.bounds.sorting import moves_as_a_whole
from tfrobust.graph import Node, Trace
from tfrobust.graph.sorting import in_pairs
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat
from tfrobust.verifiers.segments import (
    activations,
    largest,
    segment,
    slope_of,
)

# How far both values, that at x and that it is compared with, may be off.
_BOTH = 2.001
# Whose values are computed without rounding.
EXACT = {"Abs", "MaxPool", "Maximum", "MinMax", "Minimum", "Relu", "Relu6"}


# By the number of an activation, and of what it stands on, see `lengths_of`.
Lengths = dict[int, dict[int, tuple[tf.Tensor, tf.Tensor]]]


def lengths_of(trace: Trace) -> Lengths:
    """How much what is linear between two activations lengthens a move.

    That depends on the weights alone, and takes longer than all the rest.

    Args:
        trace: The `Trace` of a network.

    Returns:
        Of each activation, whose number is its place among the input and all
        `activations`, for each of those that it stands on: the norm of the
        matrix between them, and the length of each row, shape `[1, ...]`.

    Raises:
        NotImplementedError: If an op has no rule, or a matrix is too large.
    """
    look_up(trace)
    stops = activations(trace)
    stations, found = _stations(trace, stops), {}
    for number, node in enumerate(stations[1:], start=1):
        given, rows = node.dependent[0], {}
        for source, forms in segment(trace, node, stops).items():
            matrix = tf.reshape(forms.tensor, [given.size, source.size])
            each = tf.reshape(_rows(forms), [1, *given.shape])
            rows[stations.index(source)] = largest(matrix), each
        found[number] = rows
    return found


def _stations(trace, stops):
    """The input and all activations, in the order of the trace."""
    return [trace.input, *(node for node in trace.nodes[1:] if node in stops)]


class LipschitzBounds:
    """How far the values that float32 computes can move from those at x.

    Args:
        trace: The `Trace` of the network.
        threat: The `L2` threat.
        x: Inputs, shape `[batch, ...]`.
        lengths: What `lengths_of` returned for a trace of this network with
            these weights; None works it out.

    Attributes:
        intervals: Maps every node to its lower and upper bounds.
        constants: Maps the input, and all `activations`, to their Lipschitz
            constants, but for rounding.
        moves: Maps them to how far they move at most, rounding included,
            shape `[batch]`.
    """

    def __init__(
        self,
        trace: Trace,
        threat: Threat,
        x: tf.Tensor,
        lengths: Lengths | None = None,
    ) -> None:
        look_up(trace)
        self._lengths = lengths_of(trace) if lengths is None else lengths
        self.trace, self.x = trace, x
        box = rounding.widened(threat.box(x))
        radius = tf.reduce_max(flat(threat.radii(x)), axis=1)
        # Epsilon and the sum of x and a step were rounded to float32.
        radius = 1.000001 * radius + _length(rounding.spare(*box))
        self.intervals = {trace.input: box}
        self.constants: dict[Node, Any] = {trace.input: tf.constant(1.0)}
        self.moves = {trace.input: radius}
        self._activations = activations(trace)
        self._drifts = rounding.Drifts(
            self.intervals, self._activations, backward=False
        )
        self._magnitudes = rounding.Magnitudes()
        self._magnitudes.add(trace.input, box)
        self._values = {trace.input: x}
        self._stations = _stations(trace, self._activations)
        for node in trace.nodes[1:]:
            if node in self._activations:
                self._enter(node)
            self.intervals[node] = interval(node, self.intervals)
            self._magnitudes.add(node, self.intervals[node])
            self._values[node] = self._value(node)
            if node in self._activations:
                self._leave(node)

    def lower(self, forms: Dense) -> tf.Tensor:
        """Lower bounds on linear forms of the output, `[batch, forms]`."""
        output = self.trace.output
        value = self._values[output]
        off = rounding.share(4 * output.size) * tf.abs(value)
        off += _BOTH * self._drift(output)
        fall = sum(
            _rows(part) * self.moves[source][:, tf.newaxis]
            for source, part in self._sources(forms).items()
        )
        lower = forms.dot(value) - fall - forms.magnitude(off)
        lower -= self._magnitudes.hidden[:, tf.newaxis]
        finite = self._magnitudes.finite[:, tf.newaxis]
        proven = tf.math.is_finite(lower) & finite
        return tf.where(proven, lower, -math.inf)

    def constant(self, forms: Dense) -> tf.Tensor:
        """Lipschitz constants of linear forms of the output, but for rounding.

        Returns:
            Shape `[batch, forms]`, or `[1, forms]`.
        """
        return sum(
            _rows(part) * self.constants[source]
            for source, part in self._sources(forms).items()
        )

    def _sources(self, forms):
        """Forms of the output as those of the input and of activations."""
        return sources(self.trace, self.trace.output, forms, self._activations)

    def _value(self, node):
        """What a node computes at x; sorted pairs aren't sums, but moved."""
        given = [self._values[other] for other in node.dependent]
        if moves_as_a_whole(node):
            return in_pairs(given[0], node.op.detail)
        return node.run(*given)

    def _enter(self, node):
        """How far moves what an activation reads, as a whole and each value."""
        given = node.dependent[0]
        drift = _BOTH * self._drift(given)
        constant, move, each = 0.0, _length(drift), drift
        found = self._lengths[self._stations.index(node)]
        for number, (norm, alone) in found.items():
            source = self._stations[number]
            constant += norm * self.constants[source]
            move += norm * self.moves[source]
            each += alone * column(self.moves[source], alone)
        self._read = constant, move
        lower, upper = self.intervals[given]
        value = self._values[given]
        each += rounding.spare(value, each)
        self.intervals[given] = (
            tf.maximum(lower, value - each),
            tf.minimum(upper, value + each),
        )

    def _leave(self, node):
        """How far moves what it returns."""
        slope, (constant, move) = slope_of(node), self._read
        self.constants[node] = slope * constant
        self.moves[node] = slope * move
        if node.type not in EXACT:
            size = rounding.size(*self.intervals[node])
            off = rounding.APPROXIMATION * (1 + size)
            self.moves[node] += 2 * _length(off)

    def _drift(self, node):
        drift = self._drifts.of(node)
        lower, _ = self.intervals[node]
        return tf.zeros_like(lower) if drift is None else drift


def _rows(forms):
    """The length of each form's coefficients, rounded up."""
    rows = tf.cast(forms.tensor, tf.float64)
    squares = tf.reduce_sum(rows**2, axis=list(range(2, rows.shape.rank)))
    return tf.cast(1.000001 * tf.sqrt(squares), tf.float32)


def _length(value):
    """The Euclidean length of each example, rounded up."""
    return 1.0001 * tf.norm(flat(value), axis=1)
