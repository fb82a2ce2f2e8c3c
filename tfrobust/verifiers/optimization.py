"""The lines that a bound is best with, by gradient ascent."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.adam import Adam
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.forms import Forms
from tfrobust.graph import Node, Trace


class Watched:
    """Lines that remember which forms were pulled through them.

    Args:
        lines: The `Relaxation` of an activation.
        beta: What to add to the forms of the activation's input: the
            multiplier of a constraint on it, shape `[batch, forms,
            ...]`; None for none.
        moved: How far rounding may move that input; see `Drifts.moved`.

    Attributes:
        coefficients: The forms of the activation, `[batch, forms,
            ...]`, once they were pulled.
    """

    def __init__(
        self, lines: Any, beta: tf.Tensor | None = None, moved: Any = 0.0
    ) -> None:
        self.lines, self.beta, self.moved = lines, beta, moved
        self.coefficients: Any = None

    def pull(self, forms: Forms) -> tuple[Forms, tf.Tensor]:
        """The smallest that the lines allow: `Forms`, and a constant."""
        self.coefficients = forms.tensor
        pulled, constant = self.lines.pull(forms)
        if self.beta is not None:
            pulled = Dense(pulled.tensor + self.beta)
            constant -= Dense(self.beta).magnitude(self.moved)
        return pulled, constant


def optimizable(trace: Trace) -> list[Node]:
    """The nodes of ops that have several sound lines, chosen by an alpha."""
    return [
        n for n in trace.nodes[1:] if not n.rule.linear and n.rule.optimizable
    ]


def maximize(
    values: Callable,
    start: list,
    limits: list,
    steps: int,
    learning_rate: float,
    enough: float = float("inf"),
) -> list:
    """Projected Adam: what maximises each of several values.

    Args:
        values: Maps a list of tensors to values `[batch, forms]`. Each
            value must depend on its own entries of the tensors alone, so that
            none influences another.
        start: List of tensors, each `[batch, forms, ...]`.
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
            reached = values(point)
            total = tf.reduce_sum(reached)
        gradient = tape.gradient(total, point, unconnected_gradients="zero")
        better = reached > best
        kept = [select(better, *pair) for pair in zip(point, kept, strict=True)]
        best = tf.where(better, reached, best)
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


def select(chosen: tf.Tensor, value: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Picks whole forms: `chosen` is `[batch, forms]`."""
    shape = tf.shape(chosen)
    ones = tf.ones([value.shape.rank - 2], tf.int32)
    return tf.where(
        tf.reshape(chosen, tf.concat([shape, ones], 0)), value, other
    )
