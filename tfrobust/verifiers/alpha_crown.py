"""alpha-CROWN."""

from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.bounds.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.lookup import rule
from tfrobust.verifiers.adam import Adam
from tfrobust.verifiers.bounding import Bounding


@register
class AlphaCROWN(Bounding):
    """CROWN with the slopes of its lower lines optimised.

    Every margin of every example gets lines of its own, found by gradient
    ascent from those of `CROWN`. What activations read is bounded as in
    `CROWN`, once. Every step is sound; the best is kept.

    Args:
        threat: The `Threat` to bound over.
        steps: Number of gradient steps, at least 1.
        learning_rate: Length of the first step, in units of a slope that is
            between 0 and 1.
        intersect: Whether to tighten the margins and the bounds of what
            activations read by interval arithmetic, where that is better.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `tfr.verifiers.AlphaCROWN(tfr.threats.Linf(0.1))`

    Reference: Xu et al., 2021, arXiv 2011.13824, section 3.1, with the bounds
    of what activations read held fixed.
    """

    def __init__(self, threat, steps=20, learning_rate=0.25, intersect=True):
        super().__init__(threat)
        checks.count(steps, "steps")
        checks.argument(
            learning_rate > 0, "learning_rate", "be positive", learning_rate
        )
        self.steps, self.learning_rate = steps, learning_rate
        self.intersect = intersect

    def _margins(self, trace, x, functions):
        bounds = Bounds(trace, self.threat, x, intersect=self.intersect)
        nodes = free_nodes(trace)
        watched = {node: Watched(bounds.lines[node]) for node in nodes}
        margins = bounds.lower(functions, watched)
        if self.intersect:
            intervals = bounds.lower_from_intervals(functions)
            margins = tf.maximum(margins, intervals)
        if not nodes:
            return margins
        drifts = bounds.drifts

        def lower(choices):
            lines = {
                node: drifts.lines(node, free=free)
                for node, free in zip(nodes, choices, strict=True)
            }
            return bounds.lower(functions, lines)

        start = [
            default_choice(node, drifts, watched[node].coefficients)
            for node in nodes
        ]
        choices = maximize(
            lower, start, [1.0] * len(nodes), self.steps, self.learning_rate
        )
        return tf.maximum(margins, lower(choices))


class Watched:
    """Lines that remember which functions were pulled through them.

    Args:
        lines: The `Relaxation` of an activation.
        multiplier: What to add to the functions of the activation's input:
            the multiplier of a constraint on it, shape `[batch, functions,
            ...]`; None for none.
        moved: How far rounding may move that input; see `Drifts.moved`.

    Attributes:
        coefficients: The functions of the activation, `[batch, functions,
            ...]`, once they were pulled.
    """

    def __init__(self, lines, multiplier=None, moved=0.0):
        self.lines, self.multiplier, self.moved = lines, multiplier, moved
        self.coefficients: Any = None

    def pull(self, coefficients):
        """The smallest that the lines allow: functions, and a constant."""
        self.coefficients = coefficients.tensor
        pulled, constant = self.lines.pull(coefficients)
        if self.multiplier is not None:
            pulled = Dense(pulled.tensor + self.multiplier)
            constant -= Dense(self.multiplier).magnitude(self.moved)
        return pulled, constant


def free_nodes(trace):
    """The ops for which one of several sound lines can be chosen."""
    return [n for n in trace.nodes[1:] if not rule(n).linear and rule(n).free]


def default_choice(node, drifts, coefficients):
    """The choice that gives the default lines, up to what is nonlinear in it.

    Args:
        node: A `Node`, one of `free_nodes`.
        drifts: The `Drifts` that give its lines.
        coefficients: The functions of the node, `[batch, functions, ...]`:
            their signs tell which of both lines matters.
    """
    zeros = tf.zeros_like(coefficients[:, :1])
    first, last = (drifts.lines(node, free=free) for free in (zeros, zeros + 1))
    given = drifts.lines(node)
    below, above = (
        tf.math.divide_no_nan(slope[:, tf.newaxis] - begin, end - begin)
        for slope, begin, end in (
            (given.lower_slope, first.lower_slope, last.lower_slope),
            (given.upper_slope, first.upper_slope, last.upper_slope),
        )
    )
    choice = tf.where(coefficients >= 0, below, above)
    return tf.clip_by_value(choice, 0.0, 1.0)


def maximize(values, start, limits, steps, learning_rate, enough=float("inf")):
    """Projected Adam: what maximises each of several values.

    Args:
        values: Maps a list of tensors to values `[batch, functions]`. Each
            value must depend on its own entries of the tensors alone, so that
            none influences another.
        start: List of tensors, each `[batch, functions, ...]`.
        limits: The largest that the entries of each tensor may be; the
            smallest is 0.
        steps: Number of steps.
        learning_rate: Length of the first step; the last are short.
        enough: Once all values exceed it there are no more steps.

    Returns:
        For each value the best point met, the start among them, in the form
        of `start`.
    """

    def step(point, adam, best, kept):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            found = values(point)
            total = tf.reduce_sum(found)
        gradient = tape.gradient(total, point, unconnected_gradients="zero")
        better = found > best
        kept = [
            _select(better, *pair) for pair in zip(point, kept, strict=True)
        ]
        best = tf.where(better, found, best)
        rate = learning_rate * (1 - adam.count / steps)
        moves, adam = adam.step(gradient)
        point = [
            tf.clip_by_value(p + rate * move, 0.0, limit)
            for p, move, limit in zip(point, moves, limits, strict=True)
        ]
        return point, adam, best, kept

    lowest = tf.fill(tf.shape(start[0])[:2], -float("inf"))
    lowest = tf.ensure_shape(lowest, start[0].shape[:2])
    state = start, Adam.begin(start), lowest, start
    *_, kept = tf.while_loop(
        lambda *state: tf.reduce_any(state[2] <= enough),
        step,
        state,
        # The size of the batch may be known of the start alone.
        tf.nest.map_structure(_any_batch, state),
        maximum_iterations=steps + 1,
    )
    return [tf.stop_gradient(p) for p in kept]


def _any_batch(value):
    """The shape of a value but for its batch; that of a number."""
    shape = tf.convert_to_tensor(value).shape
    return tf.TensorShape([None, *shape[1:]]) if shape.rank else shape


def _select(chosen, value, other):
    """Picks whole functions: `chosen` is `[batch, functions]`."""
    shape = tf.shape(chosen)
    ones = tf.ones([value.shape.rank - 2], tf.int32)
    return tf.where(
        tf.reshape(chosen, tf.concat([shape, ones], 0)), value, other
    )
