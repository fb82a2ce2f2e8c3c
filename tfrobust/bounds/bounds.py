"""Bounds of every value that a network computes."""

import math

import tensorflow as tf

from tfrobust.bounds.dense import Dense
from tfrobust.bounds.patches import Patches
from tfrobust.bounds.propagation import (
    backward,
    interval,
    linear_part,
    mixes,
)
from tfrobust.bounds.rows import Examples
from tfrobust.bounds.rules import rule

# How many roundings of full size the sum of a dot product is allowed. Sums in
# blocks, as all fast kernels do them, err by far less than their length.
ROUNDINGS = 32
# How many coefficients a backward pass over single values holds at once.
CHUNK = 2**23


class Bounds:
    """Intervals of a network's values over a threat, and lines from them.

    Args:
        trace: The `Trace` of the network.
        threat: The `Threat`.
        x: Inputs, shape `[batch, ...]`.
        tighten: Whether to bound what every activation reads by a backward
            pass (CROWN) instead of by interval arithmetic alone.
        intersect: Whether to take the tighter of both, there and in
            `tightest`.
        rules: Replaces the table's rules for some ops.

    Attributes:
        intervals: Maps every node to its lower and upper bounds, in which
            roundings are not accounted for.
        lines: Maps every node that isn't linear to its `Relaxation`.
    """

    def __init__(
        self, trace, threat, x, tighten=True, intersect=True, rules=None
    ):
        self.trace, self.threat, self.x = trace, threat, x
        self._intersect, self._rules = intersect, rules or {}
        self.intervals, self.lines = {trace.input: threat.box(x)}, {}
        consumers = _consumers(trace)
        self._read = {trace.input, trace.output}
        self._read |= {node for node in trace.nodes if consumers[node]}
        self._mixes = {trace.input: 0}
        for node in trace.nodes[1:]:
            self._mixes[node] = mixes(node, self._mixes)
            self.intervals[node] = interval(node, self.intervals)
            if not rule(node).linear:
                self.lines[node] = self.line(node)
            if consumers[node] and self._gains(node, tighten):
                self.intervals[node] = self._tightened(node, consumers[node])

    def line(self, node, free=None):
        """The lines of a node that isn't linear; see `Activation`."""
        how = self._rules.get(node.type, rule(node))
        ends = self.intervals[node.dependent[0]]
        return how.relaxation(node, *ends, free)

    def lower(self, functions, lines=None):
        """Lower bounds on functions of the output.

        What rounding may have added to them, in bounds and network alike, is
        taken off.

        Args:
            functions: `Dense` functions of the trace's output.
            lines: Lines to use in place of those of `lines`.

        Returns:
            Shape `[batch, functions]`.
        """
        return self._less_rounding(functions, {**self.lines, **(lines or {})})

    def lower_from_intervals(self, functions):
        """The same, from the intervals of what the activations return."""
        boxes = {node: self.intervals[node] for node in self.lines}
        return self._less_rounding(functions, {}, boxes)

    def tightest(self, functions):
        """The better of both if bounds are intersected, else that of lines."""
        lower = self.lower(functions)
        if not self._intersect:
            return lower
        return tf.maximum(lower, self.lower_from_intervals(functions))

    def _less_rounding(self, functions, lines, boxes=None):
        sizes = []

        def visit(node, found):
            if node in self._read or node in (boxes or ()):
                sizes.append(found.magnitude(*self.intervals[node]))

        given = {self.trace.output: functions}
        found = backward(self.trace, given, lines, boxes, visit)
        rounding = ROUNDINGS * 2.0**-24 * tf.add_n(sizes)
        # Strictly below, also where everything is 0.
        return self._concrete(*found) - tf.stop_gradient(rounding + 1e-30)

    def _concrete(self, functions, constant):
        if functions is None:
            return constant
        if math.isinf(self.threat.order):  # The threat is a box.
            return constant + functions.minimum(
                *self.intervals[self.trace.input]
            )
        return constant + functions.minimum_over(self.threat, self.x)

    def _gains(self, node, tighten):
        """Whether a backward pass can be tighter than intervals here."""
        linear = self._mixes[node] < math.inf
        if not linear:
            return tighten
        # Intervals are exact for boxes, until what they bound is mixed twice.
        return self.threat.order < math.inf or self._mixes[node] > 1

    def _tightened(self, node, consumers):
        form = Patches if len(node.shape) == 3 else Dense
        lower, upper = self.intervals[node]
        opened = self._opened(node, consumers)
        if opened is None:
            given = {node: form.identity(node)}
            found = backward(self.trace, given, self.lines)
            low, high = form.both(node, self._concrete(*found))
        else:
            index = _some(tf.where(opened))
            low, high = self._chosen(node, form, index)
            low = _placed(lower, opened, index, low)
            high = _placed(-upper, opened, index, high)
        high = -high
        if self._intersect:
            low, high = tf.maximum(low, lower), tf.minimum(high, upper)
        shape = tf.shape(lower)
        low, high = (tf.broadcast_to(end, shape) for end in (low, high))
        return tf.minimum(low, high), tf.maximum(low, high)

    def _chosen(self, node, form, index):
        """Lower bounds on values and on those negated, some at a time.

        Args:
            node: The `Node`.
            form: `Dense` or `Patches`.
            index: Example and number of each value, shape `[values, 2]`.
        """
        length = max(1, CHUNK // (2 * self.trace.largest))
        count = tf.shape(index)[0]
        # What is the same for every example is carried back but once.
        shared, constant = linear_part(self.trace, node, form.identity(node))

        def some(begin, found):
            chunk = index[begin : begin + length]
            example, values = tf.unstack(chunk, axis=1)
            examples = Examples(example)
            numbers = form.signed(node, values)
            rows = {
                given: functions.chosen(examples, numbers)
                for given, functions in shared.items()
            }
            ends = self._concrete(*backward(self.trace, rows, self.lines))
            if not isinstance(constant, float):
                ends += tf.gather(constant[0], numbers)
            place = begin // length
            return begin + length, found.write(place, tf.transpose(ends))

        found = tf.TensorArray(
            tf.float32,
            size=0,
            dynamic_size=True,
            infer_shape=False,
            element_shape=[None, 2],
        )
        _, found = tf.while_loop(
            lambda begin, _: begin < count,
            some,
            (tf.constant(0), found),
            parallel_iterations=1,
        )
        return tf.unstack(found.concat(), axis=1)

    def _opened(self, node, consumers):
        """Which values could gain, `[batch, values]`; None for any of them.

        Before the first op that isn't linear there is nothing to choose, and
        without intervals nothing to choose by.
        """
        if not self._intersect:
            return None
        settled = [
            rule(reader).settled(*self.intervals[node]) for reader in consumers
        ]
        if self._mixes[node] < math.inf or any(s is None for s in settled):
            return None
        opened = ~tf.reduce_all(tf.stack(settled), axis=0)
        return tf.reshape(opened, [-1, node.size])


def _consumers(trace):
    """The ops that aren't linear and read a node, by node."""
    consumers: dict = {node: [] for node in trace.nodes}
    for node in trace.nodes[1:]:
        if not rule(node).linear:
            for given in node.dependent:
                consumers[given].append(node)
    return consumers


def _some(index):
    """The same rows of an index; the first of all if there is none."""
    missing = tf.cast(tf.size(index) == 0, tf.int32)
    return tf.pad(index, [[0, missing], [0, 0]])


def _placed(values, opened, index, found):
    """Puts what was found of the open values in their places."""
    flat = tf.reshape(values, tf.shape(opened))
    placed = tf.tensor_scatter_nd_update(flat, index, found)
    return tf.reshape(tf.where(opened, placed, flat), tf.shape(values))
