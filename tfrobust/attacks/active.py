"""Computing only on the active examples.

What is finished is taken out of the batch, so that it costs nothing more. The
result never changes but for rounding: examples don't interact. A model is
never asked about an empty batch, on which the gradient of a max pooling
crashes TensorFlow.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.configurable import Configurable
from tfrobust.gathering import gathered


def on_active(
    run: Callable[..., Any],
    active: tf.Tensor | None,
    state: Any,
    adversary: Configurable,
    x: tf.Tensor,
    *inputs: Any,
) -> Any:
    """Runs once on the active examples; the others keep their state.

    Args:
        run: A function `run(state, adversary, x, *inputs) -> state` of which
            no example depends on another.
        active: Which examples to run on, shape `[batch]`, bool; None for
            all, without any dynamic shape.
        state: What `run` updates: nested tensors of shape `[batch, ...]`.
        adversary: What is configured for x, such as an `Attack` or a `Threat`.
        x: Inputs, shape `[batch, ...]`.
        *inputs: What `run` only reads: nested tensors, shape `[batch, ...]`,
            or None.

    Returns:
        The new state.
    """
    inputs = adversary, x, *inputs
    if active is None:
        return run(state, *inputs)
    index = tf.where(active)[:, 0]

    def some():
        return _put(state, index, run(*gathered(index, x, (state, *inputs))))

    return tf.cond(tf.size(index) > 0, some, lambda: state)


def while_active(
    step: Callable[..., Any],
    active: Callable[[Any], tf.Tensor] | None,
    count: int,
    state: Any,
    adversary: Configurable,
    x: tf.Tensor,
    *inputs: Any,
) -> Any:
    """Repeats a step on the examples that are still active.

    They are gathered again whenever an eighth of the gathered are finished:
    neither are many finished ones computed, nor is much copied for a few.

    Args:
        step: A function `step(number, state, adversary, x, *inputs) -> state`
            of which no example depends on another; `number` counts from 0.
        active: A function `active(state) -> [batch]`, bool. The step may run
            on what is finished and must leave what is read of it as it is;
            it must not become active again. None if nothing ever finishes:
            then no shape is dynamic.
        count: Largest number of steps.
        state: As in `on_active`, as are the rest.

    Returns:
        The last state.
    """
    inputs = adversary, x, *inputs

    def repeat(going, number, state, *inputs):
        def advance(number, old):
            new = step(number, old, *inputs)
            return number + 1, tf.nest.map_structure(_with_shape, new, old)

        return tf.while_loop(going, advance, (number, state))

    if active is None:
        return repeat(lambda number, _: number < count, 0, state, *inputs)[1]

    def regroup(number, state):
        index = tf.where(active(state))[:, 0]
        least = 7 * tf.size(index) // 8

        def going(number, state):
            return (number < count) & (_count(active(state)) > least)

        some = gathered(index, x, (state, *inputs))
        number, new = repeat(going, number, *some)
        return number, _put(state, index, new)

    def left(number, state):
        return (number < count) & tf.reduce_any(active(state))

    return tf.while_loop(left, regroup, (0, state))[1]


def choose(mask: tf.Tensor, new: Any, old: Any) -> Any:
    """Takes the examples of `new` where `mask`, else of `old`; both nest."""

    def chosen(a, b):
        # Twice as fast as to broadcast the mask.
        return tf.raw_ops.Select(condition=mask, x=a, y=b)

    return tf.nest.map_structure(chosen, new, old)


def worse(candidate: Any, incumbent: Any) -> Any:
    """Keeps of two tuples the examples of larger loss, their second entry."""
    return choose(candidate[1] > incumbent[1], candidate, incumbent)


def _put(state, index, some):
    """Writes what became of some examples back into the state of all."""

    def put(old, new):
        return tf.tensor_scatter_nd_update(old, index[:, tf.newaxis], new)

    return tf.nest.map_structure(put, state, some)


def _with_shape(new, old):
    """What a reshape forgot of the static shape, a loop needs again."""
    return tf.ensure_shape(new, old.shape)


def _count(mask):
    return tf.math.count_nonzero(mask, dtype=tf.int32)
