"""Bounds of every value that a network computes."""

import math

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.activation import Activation
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.open_values import in_chunks, index_of, placed
from tfrobust.bounds.patches import Patches
from tfrobust.bounds.propagation import (
    backward,
    consumers_of,
    interval,
    linear_part,
    mixes,
)
from tfrobust.bounds.record import look_up
from tfrobust.bounds.rounding import Drifts, boxes
from tfrobust.bounds.sparse import Examples
from tfrobust.graph import Node, Trace
from tfrobust.threats import Threat
from tfrobust.threats.rows import column

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
        self,
        trace: Trace,
        threat: Threat,
        x: tf.Tensor,
        tighten: bool = True,
        intersect: bool = True,
        rules: dict | None = None,
    ) -> None:
        look_up(trace)
        self.trace, self.threat, self.x = trace, threat, x
        self._intersect, self._rules = intersect, rules or {}
        # Epsilon was rounded to float32.
        lower, upper = rounding.widened(threat.box(x))
        self.intervals, self.lines = {trace.input: (lower, upper)}, {}
        self.drifts = Drifts(self.intervals)
        self._magnitudes = rounding.Magnitudes()
        self._magnitudes.add(trace.input, (lower, upper))
        # What rounding may add to a sum over all that is put in.
        self._spare = rounding.spare(lower, upper, trace.input.size)
        consumers = consumers_of(trace)
        self._mixes: dict[Node, float] = {trace.input: 0}
        for node in trace.nodes[1:]:
            self._mixes[node] = mixes(node, self._mixes)
            self.intervals[node] = self._interval(node)
            if not node.rule.linear:
                how = self._rules.get(node.type)
                self.lines[node] = self.drifts.lines(node, how)
            self._magnitudes.add(node, self.intervals[node])
            if consumers[node] and self._gains(node, tighten):
                self.intervals[node] = self._tightened(node, consumers[node])

    @property
    def read(self) -> dict[Node, tuple]:
        """Maps every node that isn't linear to the interval of what it reads.

        Such as of every activation; in the order in which they are computed.
        """
        return {node: self.intervals[node.dependent[0]] for node in self.lines}

    def lower(self, forms: Dense, lines: dict | None = None) -> tf.Tensor:
        """Lower bounds on linear forms of the output.

        Args:
            forms: `Dense` forms of the trace's output.
            lines: Lines to use in place of those of `lines`.

        Returns:
            Shape `[batch, forms]`; minus infinity where a value that the
            network computes may not be finite.
        """
        return self._lower(forms, {**self.lines, **(lines or {})})

    def lower_from_intervals(self, forms: Dense) -> tf.Tensor:
        """The same, from the intervals of what the activations return."""
        stops = boxes({node: self.intervals[node] for node in self.lines})
        return self._lower(forms, {}, stops)

    def tightest(self, forms: Dense) -> tf.Tensor:
        """The better of both if bounds are intersected, else that of lines."""
        return self.intersected(self.lower(forms), forms)

    def intersected(self, lower: tf.Tensor, forms: Dense) -> tf.Tensor:
        """Lower bounds on forms, tightened by all else that is known."""
        if not self._intersect:
            return lower
        return tf.maximum(lower, self.lower_from_intervals(forms))

    def _interval(self, node):
        """By interval arithmetic, from those before."""
        return interval(node, self.intervals)

    def _lower(self, forms, lines, stops=None):
        found = backward(self.trace, {self.trace.output: forms}, lines, stops)
        lower = self._concrete(*found)
        drift = self.drifts.of(self.trace.output)
        if drift is not None:
            lower -= tf.stop_gradient(forms.magnitude(drift))
        # Strictly below, also where everything is 0.
        lower -= self._magnitudes.hidden[:, tf.newaxis]
        finite = self._magnitudes.finite[:, tf.newaxis]
        proven = tf.math.is_finite(lower) & finite
        return tf.where(proven, lower, -math.inf)

    def _concrete(self, forms, constant):
        if forms is None:
            return constant
        lower, upper = self.intervals[self.trace.input]
        if self.threat.is_box:
            least = forms.minimum(lower - self._spare, upper + self._spare)
        else:
            least = forms.minimum_over(self.threat, self.x)
            least -= forms.magnitude(self._spare)
        return rounding.total([constant, least])

    def _gains(self, node, tighten):
        """Whether a backward pass can be tighter than intervals here."""
        if isinstance(node.rule, Activation):
            # Lines enclose the function: they say no more than its range.
            return False
        linear = self._mixes[node] < math.inf
        if not linear:
            return tighten
        # Intervals are exact for boxes, until what they bound is mixed twice.
        return not self.threat.is_box or self._mixes[node] > 1

    def _tightened(self, node, consumers):
        form = Patches if len(node.shape) == 3 else Dense
        lower, upper = self.intervals[node]
        unstable = self._unstable(node, consumers)
        if unstable is None:
            given = {node: form.identity(node)}
            ends = self._concrete(*backward(self.trace, given, self.lines))
            low, high = form.both(node, ends)
            off = self._off(node)
            low, high = low - off, high - off
        else:
            index = index_of(unstable)
            low, high = self._chosen(node, form, index)
            low = placed(lower, unstable, index, low)
            high = placed(-upper, unstable, index, high)
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

        def bound(chosen, examples):
            return self._concrete(*backward(self.trace, chosen, self.lines))

        return self._in_chunks(node, form, index, length, bound)

    def _in_chunks(self, node, form, index, length, bound):
        """The same by `bound`, of chosen forms by node and of `Examples`."""
        # What is the same for every example is carried back but once.
        shared, constant = linear_part(self.trace, node, form.identity(node))
        off = tf.reshape(self._off(node), [-1, node.size])

        def some(chunk):
            example, values = tf.unstack(chunk, axis=1)
            examples = Examples(example)
            numbers = form.numbers(node, values)
            chosen = {
                given: forms.chosen(examples, numbers)
                for given, forms in shared.items()
            }
            ends = bound(chosen, examples)
            if not isinstance(constant, float):
                constants = tf.gather(constant[0], numbers)
                ends = rounding.total([ends, constants])
            return ends - tf.gather_nd(off, chunk)

        return in_chunks(some, index, length)

    def _off(self, node):
        """What rounding may add to a backward pass, of the node's shape."""
        lower, _ = self.intervals[node]
        hidden = column(self._magnitudes.hidden, lower)
        drift = self.drifts.of(node)
        drift = tf.zeros_like(lower) if drift is None else drift
        return tf.stop_gradient(hidden + drift)

    def _unstable(self, node, consumers):
        """Which values could gain, `[batch, values]`; None for any of them.

        Before the first op that isn't linear there is nothing to choose, and
        without intervals nothing to choose by.
        """
        if not self._intersect:
            return None
        stable = [
            reader.rule.stable(*self.intervals[node]) for reader in consumers
        ]
        if self._mixes[node] < math.inf or any(s is None for s in stable):
            return None
        unstable = ~tf.reduce_all(tf.stack(stable), axis=0)
        return tf.reshape(unstable, [-1, node.size])
