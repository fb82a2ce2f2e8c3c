"""Attacking the two halves of a batch side by side.

An attack is one long chain of ops. TensorFlow shares a large op among the
cores and waits for the slowest share; small ones it doesn't share at all. The
cores that one half leaves idle work on the other.
"""

import contextlib
import threading

import tensorflow as tf

# A half of a smaller batch may take longer than half of its time.
LEAST = 128
_scope = threading.local()


@contextlib.contextmanager
def of_batches(largest):
    """A scope in which no batch is larger, so that small ones stay whole."""
    outer = getattr(_scope, "largest", LEAST)
    _scope.largest = largest
    try:
        yield
    finally:
        _scope.largest = outer


def in_halves(run, threat, x, *inputs):
    """Returns `run(threat, x, *inputs)`, by halves where that is faster.

    That is in graphs, on a CPU, from `LEAST` examples on.

    Args:
        run: A function of which no example depends on another. It returns a
            tensor of x's shape and type, through which no gradient flows.
        threat: A `Threat` on x.
        x: Inputs, shape `[batch, ...]`.
        *inputs: Nested tensors, shape `[batch, ...]`.
    """
    size = x.shape[0]
    if (
        tf.executing_eagerly()
        or getattr(_scope, "largest", LEAST) < LEAST
        or tf.config.list_physical_devices("GPU")
        or (size is not None and (size < LEAST or size % 2 == 1))
    ):
        return run(threat, x, *inputs)

    # Not inlined, it is optimised once for all calls.
    @tf.function(
        input_signature=[tf.TensorSpec([size and size // 2], tf.int32)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def some(index):
        return run(*threat.rows(index, x, *inputs))

    count = tf.shape(x)[0]

    def halves():
        index = tf.range(size or count)
        middle = (size or count) // 2
        return tf.concat([some(index[:middle]), some(index[middle:])], axis=0)

    if size:
        return halves()
    found = tf.cond(count < LEAST, lambda: some(tf.range(count)), halves)
    return tf.ensure_shape(found, x.shape)
