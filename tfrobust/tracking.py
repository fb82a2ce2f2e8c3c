"""What attacks see step by step, for who asks.

Whatever takes a gradient by the input notes losses and gradient; outside of
`steps` nothing is kept.
"""

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

_scope = threading.local()


@contextlib.contextmanager
def steps() -> Iterator[list[tuple[tf.Tensor, tf.Tensor]]]:
    """A scope that gives the list of the steps made in it.

    Each is a pair: losses, shape `[batch]`, and gradients, shape
    `[batch, ...]`. Only what runs eagerly has values.
    """
    outer = getattr(_scope, "noted", None)
    noted: list[tuple[tf.Tensor, tf.Tensor]] = []
    _scope.noted = noted
    try:
        yield noted
    finally:
        _scope.noted = outer


def note(losses: tf.Tensor, gradient: tf.Tensor) -> None:
    """Notes what one step saw, if anybody asked."""
    noted = getattr(_scope, "noted", None)
    if noted is not None:
        noted.append((losses, gradient))
