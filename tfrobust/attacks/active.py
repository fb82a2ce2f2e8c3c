"""Computing only on the active examples.

What is finished is taken out of the batch, so that it costs nothing more. The
result never changes but for rounding: examples don't interact. A model is
never asked about an empty batch, on which the gradient of a max pooling
crashes TensorFlow.
"""

import tensorflow as tf


def on_active(run, active, state, threat, x, *inputs):
    """Runs once on the active examples; the others keep their state.

    Args:
        run: A function `run(state, threat, x, *inputs) -> state` of which no
            example depends on another.
        active: Which examples to run on, shape `[batch]`, bool; None for
            all, without any dynamic shape.
        state: What `run` updates: nested tensors of shape `[batch, ...]`.
        threat: A `Threat` on x.
        x: Inputs, shape `[batch, ...]`.
        *inputs: What `run` only reads: nested tensors, shape `[batch, ...]`.

    Returns:
        The new state.
    """
    if active is None:
        return run(state, threat, x, *inputs)
    index = tf.where(active)[:, 0]

    def some():
        new = run(*_rows(index, state, threat, x, *inputs))
        return _put(state, index, new)

    return tf.cond(tf.size(index) > 0, some, lambda: state)


def while_active(step, active, count, state, threat, x, *inputs):
    """Repeats a step on the examples that are still active.

    They are gathered again whenever an eighth of the gathered are finished:
    neither are many finished ones computed, nor is much copied for a few.

    Args:
        step: A function `step(number, state, threat, x, *inputs) -> state` of
            which no example depends on another; `number` counts from 0.
        active: A function `active(state) -> [batch]`, bool. The step may run
            on what is finished and must leave what is read of it as it is;
            it must not become active again. None if nothing ever finishes:
            then no shape is dynamic.
        count: Largest number of steps.
        state: As in `on_active`, as are the rest.

    Returns:
        The last state.
    """

    def group(number, state, *inputs, least=None):
        def going(number, state):
            if least is None:
                return number < count
            return (number < count) & (_count(active(state)) > least)

        def advance(number, old):
            new = step(number, old, *inputs)
            return number + 1, tf.nest.map_structure(_with_shape, new, old)

        return tf.while_loop(going, advance, (number, state))

    if active is None:
        return group(0, state, threat, x, *inputs)[1]

    def regroup(number, state):
        index = tf.where(active(state))[:, 0]
        rows = _rows(index, state, threat, x, *inputs)
        least = 7 * tf.size(index) // 8
        number, new = group(number, *rows, least=least)
        return number, _put(state, index, new)

    return tf.while_loop(
        lambda number, state: (number < count) & tf.reduce_any(active(state)),
        regroup,
        (0, state),
    )[1]


def choose(mask, new, old):
    """Takes the examples of `new` where `mask`, else of `old`; both nest."""

    def chosen(a, b):
        # Twice as fast as to broadcast the mask.
        return tf.raw_ops.Select(condition=mask, x=a, y=b)

    return tf.nest.map_structure(chosen, new, old)


def worse(candidate, incumbent):
    """Keeps of two tuples the examples of larger loss, their second entry."""
    return choose(candidate[1] > incumbent[1], candidate, incumbent)


def _rows(index, state, threat, x, *inputs):
    """The state, the threat and the inputs of some examples."""
    threat, x, state, *inputs = threat.rows(index, x, state, *inputs)
    return state, threat, x, *inputs


def _put(state, index, rows):
    """Writes the rows of some examples back into the state of all."""

    def put(old, new):
        return tf.tensor_scatter_nd_update(old, index[:, tf.newaxis], new)

    return tf.nest.map_structure(put, state, rows)


def _with_shape(new, old):
    """What a reshape forgot of the static shape, a loop needs again."""
    return tf.ensure_shape(new, old.shape)


def _count(mask):
    return tf.math.count_nonzero(mask, dtype=tf.int32)
