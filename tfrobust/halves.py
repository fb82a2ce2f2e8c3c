"""Attacking the two halves of a batch side by side.

An attack is one long chain of ops. TensorFlow shares a large op among the
cores and waits for the slowest share; small ones it doesn't share at all. The
cores that one half leaves idle work on the other.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tfrobust.configurable import Configurable
from tfrobust.gathering import gathered

# A half of a smaller batch may take longer than half of its time.
LEAST = 128
_scope = threading.local()


@contextlib.contextmanager
def of_batches(largest: int) -> Iterator[None]:
    """A scope in which no batch is larger, so that small ones stay whole."""
    outer = getattr(_scope, "largest", LEAST)
    _scope.largest = largest
    try:
        yield
    finally:
        _scope.largest = outer


def in_halves(
    run: Callable[..., tf.Tensor],
    adversary: Configurable,
    x: tf.Tensor,
    *inputs: Any,
) -> tf.Tensor:
    """Returns `run(adversary, x, *inputs)`, by halves where that is faster.

    That is in graphs, on a CPU, from `LEAST` examples on.

    Args:
        run: A function of which no example depends on another. It returns a
            tensor of x's shape and type, through which no gradient flows.
        adversary: What is configured for x, such as an `Attack` or a `Threat`.
        x: Inputs, shape `[batch, ...]`.
        *inputs: Nested tensors, shape `[batch, ...]`, or None.
    """
    size = x.shape[0]
    if (
        tf.executing_eagerly()
        or getattr(_scope, "largest", LEAST) < LEAST
        or tf.config.list_physical_devices("GPU")
        or (size is not None and (size < LEAST or size % 2 == 1))
    ):
        return run(adversary, x, *inputs)

    # Not inlined, it is optimised once for all calls.
    @tf.function(
        input_signature=[tf.TensorSpec([size and size // 2], tf.int32)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def some(index):
        return run(*gathered(index, x, (adversary, x, *inputs)))

    count = tf.shape(x)[0]

    def halves():
        index = tf.range(size or count)
        middle = (size or count) // 2
        return tf.concat([some(index[:middle]), some(index[middle:])], axis=0)

    if size:
        return halves()
    answer = tf.cond(count < LEAST, lambda: some(tf.range(count)), halves)
    return tf.ensure_shape(answer, x.shape)
