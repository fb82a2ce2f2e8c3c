"""Subdomains of a threat, on each of which one margin is bounded."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfrobust.bounds import rounding
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.propagation import backward, interval
from tfrobust.bounds.record import look_up
from tfrobust.bounds.rounding import Drifts
from tfrobust.graph import Node, Trace
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat
from tfrobust.verifiers.default_alpha import default_alpha
from tfrobust.verifiers.optimization import Watched, optimizable, select


class Subdomains:
    """Bounds of a batch of subproblems, inside a graph.

    Call `narrow`, then `lower` on what `start` returned or better; then ask
    for the rest.

    Args:
        trace: The `Trace` of the network.
        threat: The `Threat`.
        x: Inputs, shape `[batch, ...]`.
        specification: The margins as `Dense` forms of the logits, one each.
        room: What `threat.room` returned for x, `[batch, 3, ...]`.

    Reference: Wang et al., 2021, arXiv 2103.06624, theorem 3.1.
    """

    def __init__(
        self,
        trace: Trace,
        threat: Threat,
        x: tf.Tensor,
        specification: Dense,
        room: tf.Tensor,
    ) -> None:
        look_up(trace)
        self.trace, self.threat, self.x = trace, threat, x
        self.room = tf.unstack(room, axis=1)
        self.specification = specification
        self.optimizable, self.signed = optimizable(trace), signed_nodes(trace)

    def narrow(self, box: Any, ends: tf.Tensor, signs: tf.Tensor) -> None:
        """Bounds all values on the subdomains, as far as intervals can."""
        self.box, trace = box, self.trace
        known = dict(by_node(ends, nodes_read(trace)))
        self.signs = dict(by_node(signs, self.signed))
        # The point of the box that is nearest to x must be in the ball, but
        # for rounding.
        nearest = tf.abs(tf.clip_by_value(self.x, *box) - self.x)
        nearest = tf.maximum(nearest - 2e-7 * (1 + tf.abs(self.x)), 0.0)
        size = self.threat.norm(flat(nearest / self.room[2]))
        self.feasible = size <= 1 + 1e-5
        self.intervals = {trace.input: rounding.widened(box)}
        magnitudes = rounding.Magnitudes()
        magnitudes.add(trace.input, box)
        for node in trace.nodes:
            if node is not trace.input:
                self.intervals[node] = interval(node, self.intervals)
                magnitudes.add(node, self.intervals[node])
            if node in known:
                self._cut(node, *tf.unstack(known[node], axis=1))
        self.finite, self.hidden = magnitudes.finite, magnitudes.hidden
        self.drifts = Drifts(self.intervals)
        self.lines = {
            node: self.drifts.lines(node)
            for node in trace.nodes[1:]
            if not node.rule.linear
        }
        # Now, outside of the loop that chooses the lines.
        self.drift = self.drifts.of(trace.output)

    def start(self, state: tf.Tensor) -> list:
        """The alphas of all lines and the betas, multipliers, of all signs.

        Of what a wider subdomain ended with and of the default lines without
        multipliers, which are sometimes better, what bounds a subdomain better.

        Args:
            state: What a wider subdomain ended with, `[batch, values]`;
                negative or missing where there is none.

        Returns:
            A list of tensors `[batch, 1, ...]`.
        """
        nodes = self.optimizable + self.signed
        if not nodes:
            return []
        missing = sum(node.size for node in nodes) - tf.shape(state)[1]
        state = tf.pad(state, [[0, 0], [0, missing]], constant_values=-1.0)
        values = [value for _, value in by_node(state[:, tf.newaxis], nodes)]
        watched = {node: Watched(self.lines[node]) for node in self.optimizable}
        self._forms(watched)
        default = [
            default_alpha(node, self.drifts, watched[node].coefficients)
            for node in self.optimizable
        ]
        default += [tf.zeros_like(value) for value in values[len(default) :]]
        inherited = [
            tf.where(value < 0, other, value)
            for value, other in zip(values, default, strict=True)
        ]
        better = self.lower(inherited)[0] >= self.lower(default)[0]
        return [
            select(better, *pair)
            for pair in zip(inherited, default, strict=True)
        ]

    def limits(self) -> list:
        """The largest that each may be: betas have no limit."""
        unlimited = [float("inf")] * len(self.signed)
        return [1.0] * len(self.optimizable) + unlimited

    def lower(self, values: list) -> tuple[tf.Tensor, Dense]:
        """Lower bounds, `[batch, 1]`, and the forms of x they come from."""
        count = len(self.optimizable)
        betas = dict(zip(self.signed, values[count:], strict=True))
        self.watched = {}
        for node, alpha in zip(self.optimizable, values[:count], strict=True):
            lines = self.drifts.lines(node, alpha=alpha)
            beta = None
            if node in betas:
                beta = -betas[node] * self.signs[node][:, tf.newaxis]
            moved = self.drifts.moved(node.dependent[0])
            self.watched[node] = Watched(lines, beta, moved)
        forms, constant = self._forms(self.watched)
        below, above = self.box
        spare = rounding.spare(below, above, self.trace.input.size)
        lower = forms.minimum(below - spare, above + spare)
        if not self.threat.is_box:
            negated = tf.reshape(-forms.tensor, [-1, 1, self.trace.input.size])
            room = (flat(end)[:, tf.newaxis] for end in self.room)
            reach = self.threat.reach(negated, *room)
            # Of the whole threat, however small the box is.
            ends = self.x + self.room[0], self.x + self.room[1]
            whole = rounding.spare(*ends, self.trace.input.size)
            reach += forms.magnitude(whole)
            lower = tf.maximum(lower, forms.dot(self.x) - reach)
        lower = rounding.total([lower, constant])
        lower -= self.hidden[:, tf.newaxis]
        if self.drift is not None:
            lower -= tf.stop_gradient(self.specification.magnitude(self.drift))
        proven = tf.math.is_finite(lower) & self.finite[:, tf.newaxis]
        lower = tf.where(proven, lower, -float("inf"))
        feasible = self.feasible[:, tf.newaxis]
        return tf.where(feasible, lower, float("inf")), forms

    def minimizer(self, forms: Dense) -> tf.Tensor:
        """A point of the threat where forms of x are small."""
        tensor = forms.tensor[:, 0]
        step = tf.where(tensor > 0, *self.box) - self.x
        if not self.threat.is_box:
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                room = (flat(end) for end in self.room)
                reach = self.threat.reach(-flat(tensor), *room)
            # What attains the maximum is its gradient.
            step = -tape.gradient(reach, tensor)
        lower, upper, scale = self.room
        step = tf.clip_by_value(step, lower, upper)
        size = column(self.threat.norm(flat(step / scale)), step)
        point = self.x + step / tf.maximum(size, 1.0)
        return tf.clip_by_value(point, self.threat.low, self.threat.high)

    def _cut(self, node, lower, upper):
        """Intersects a node's interval with another and with its signs."""
        lower = tf.maximum(lower, self.intervals[node][0])
        upper = tf.minimum(upper, self.intervals[node][1])
        for reader in self.signed:
            if reader.dependent[0] is node:
                sign = self.signs[reader]
                lower = tf.where(sign > 0, tf.maximum(lower, 0.0), lower)
                upper = tf.where(sign < 0, tf.minimum(upper, 0.0), upper)
        spare = 1e-5 * (1 + tf.abs(lower) + tf.abs(upper))
        crossed = flat(lower > upper + spare)
        self.feasible &= ~tf.reduce_any(crossed, axis=1)
        ends = tf.minimum(lower, upper), tf.maximum(lower, upper)
        self.intervals[node] = ends

    def _forms(self, lines):
        """Forms of x, and their constant."""
        given = {self.trace.output: self.specification}
        return backward(self.trace, given, {**self.lines, **lines})


def nodes_read(trace: Trace) -> list[Node]:
    """What the ops that aren't linear read, each once."""
    nodes = [node for node in trace.nodes[1:] if not node.rule.linear]
    return list(dict.fromkeys(k for node in nodes for k in node.dependent))


def signed_nodes(trace: Trace) -> list[Node]:
    """The ops that have tighter lines on either side of 0.

    Hinges are linear there, S-shaped curves convex or concave.
    """
    return [
        node
        for node in optimizable(trace)
        if getattr(node.rule, "cut", False)
        and node.dependent[0].shape == node.shape
    ]


def by_node(values: tf.Tensor, nodes: list) -> Iterator:
    """Cuts up the last axis: pairs of a node and its values, in its shape."""
    begin = 0
    for node in nodes:
        own = values[..., begin : begin + node.size]
        leading = tf.shape(values)[:-1]
        shape = tf.concat([leading, node.shape], axis=0)
        shaped = tf.reshape(own, shape)
        static = [*values.shape[:-1], *node.shape]
        yield node, tf.ensure_shape(shaped, static)
        begin += node.size
