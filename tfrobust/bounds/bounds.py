"""Bounds of every value that a network computes."""

import math

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.drifts import Drifts, boxes
from tfrobust.bounds.lookup import rule
from tfrobust.bounds.patches import Patches
from tfrobust.bounds.propagation import (
    backward,
    interval,
    linear_part,
    mixes,
)
from tfrobust.bounds.rows import Examples

# How many coefficients a backward pass over single values holds at once.
CHUNK = 2**23


class Bounds:
    """Intervals of a network's values over a threat, and lines from them.

    Everything here holds of the network evaluated in float32, whatever the
    order of its sums: see `rounding`.

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
        intervals: Maps every node to its lower and upper bounds.
        lines: Maps every node that isn't linear to its `Relaxation`.
    """

    def __init__(
        self, trace, threat, x, tighten=True, intersect=True, rules=None
    ):
        self.trace, self.threat, self.x = trace, threat, x
        self._intersect, self._rules = intersect, rules or {}
        self.intervals, self.lines = {trace.input: threat.box(x)}, {}
        self.drifts = Drifts(self.intervals)
        lower, upper = self.intervals[trace.input]
        self._finite = rounding.finite((lower, upper))
        # What rounding may add to a sum over all that is put in.
        self._spare = rounding.spare(lower, upper, trace.input.size)
        consumers = _consumers(trace)
        self._mixes = {trace.input: 0}
        for node in trace.nodes[1:]:
            self._mixes[node] = mixes(node, self._mixes)
            self.intervals[node] = interval(node, self.intervals)
            if not rule(node).linear:
                self.lines[node] = self.line(node)
            if consumers[node] or node is trace.output:
                self._finite &= rounding.finite(self.intervals[node])
            if consumers[node] and self._gains(node, tighten):
                self.intervals[node] = self._tightened(node, consumers[node])

    def line(self, node, free=None):
        """The lines of a node that isn't linear; see `Drifts.lines`."""
        return self.drifts.lines(node, self._rules.get(node.type), free)

    def lower(self, functions, lines=None):
        """Lower bounds on functions of the output.

        Args:
            functions: `Dense` functions of the trace's output.
            lines: Lines to use in place of those of `lines`.

        Returns:
            Shape `[batch, functions]`; minus infinity where a value that the
            network computes may not be finite.
        """
        return self._lower(functions, {**self.lines, **(lines or {})})

    def lower_from_intervals(self, functions):
        """The same, from the intervals of what the activations return."""
        stops = boxes({node: self.intervals[node] for node in self.lines})
        return self._lower(functions, {}, stops)

    def tightest(self, functions):
        """The better of both if bounds are intersected, else that of lines."""
        lower = self.lower(functions)
        if not self._intersect:
            return lower
        return tf.maximum(lower, self.lower_from_intervals(functions))

    def _lower(self, functions, lines, stops=None):
        found = backward(
            self.trace, {self.trace.output: functions}, lines, stops
        )
        lower = self._concrete(*found)
        drift = self.drifts.of(self.trace.output)
        if drift is not None:
            lower -= tf.stop_gradient(functions.magnitude(drift))
        # Strictly below, also where everything is 0.
        lower -= rounding.TINY
        proven = tf.math.is_finite(lower) & self._finite[:, tf.newaxis]
        return tf.where(proven, lower, -math.inf)

    def _concrete(self, functions, constant):
        if functions is None:
            return constant
        lower, upper = self.intervals[self.trace.input]
        if self.threat.is_box:
            least = functions.minimum(lower - self._spare, upper + self._spare)
        else:
            least = functions.minimum_over(self.threat, self.x)
            least -= functions.magnitude(self._spare)
        return rounding.total([constant, least])

    def _gains(self, node, tighten):
        """Whether a backward pass can be tighter than intervals here."""
        linear = self._mixes[node] < math.inf
        if not linear:
            return tighten
        # Intervals are exact for boxes, until what they bound is mixed twice.
        return not self.threat.is_box or self._mixes[node] > 1

    def _tightened(self, node, consumers):
        form = Patches if len(node.shape) == 3 else Dense
        lower, upper = self.intervals[node]
        opened = self._opened(node, consumers)
        if opened is None:
            given = {node: form.identity(node)}
            found = backward(self.trace, given, self.lines)
            low, high = form.both(node, self._concrete(*found))
            drift = self.drifts.of(node)
            if drift is not None:
                low, high = low - drift, high - drift
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
        drift = self.drifts.of(node)

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
                constants = tf.gather(constant[0], numbers)
                ends = rounding.total([ends, constants])
            if drift is not None:
                own = tf.reshape(drift, [-1, node.size])
                ends -= tf.gather_nd(own, chunk)
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
