"""Proves that tests need no Keras, so that one of both is enough for them."""

import contextlib
from unittest import mock


def kinds(keras):
    """What computes or holds weights, or is fitted with."""
    return (
        keras.layers.Layer,
        keras.Model,
        # The losses of Keras itself: of ours, attacks ask for `call` alone.
        keras.losses.MeanSquaredError.__base__,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.callbacks.Callback,
    )


@contextlib.contextmanager
def keras_free(keras):
    """A scope that fails if an object of Keras is built or called in it.

    It fails at the end as well: what is raised on the way may be caught. What
    another process builds it does not see.
    """
    met = []

    def refuse(self, *args, **kwargs):
        met.append(type(self).__name__)
        raise AssertionError(_message(met))

    with contextlib.ExitStack() as stack:
        for kind in kinds(keras):
            for method in ("__init__", "__call__"):
                patch = mock.patch.object(kind, method, refuse)
                stack.enter_context(patch)
        yield
    if met:
        raise AssertionError(_message(met))


def _message(met):
    return (
        "A test marked `keras_free` must build and call no object of Keras: "
        f"it runs under one Keras only. Received: {', '.join(met)}. Remove "
        "the mark."
    )
