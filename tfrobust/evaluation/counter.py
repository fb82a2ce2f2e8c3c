"""Counting the passes that an adversary spends."""

import uuid
import weakref

import tensorflow as tf


class Counter:
    """A model that counts the examples passed forward and backward through it.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
    """

    def __init__(self, model):
        self._model = model
        self._forward, self._backward = _Sum(), _Sum()

    def __call__(self, x, training=False):
        count = tf.shape(x, out_type=tf.int64)[0]
        self._forward.add(count)

        @tf.custom_gradient
        def counted(logits):
            def gradient(upstream):
                self._backward.add(count)
                return upstream

            return tf.identity(logits), gradient

        return counted(self._model(x, training=training))

    def passes(self):
        """Returns the examples passed forward and backward so far."""
        return self._forward.value(), self._backward.value()


class _Sum:
    """An integer that functions add to side by side.

    With a `tf.Variable` they would take turns: each has it for an input, and
    the second waits for the first. This is opened by name inside of them.
    """

    def __init__(self):
        self._name = f"tfrobust_{uuid.uuid4()}"
        zero = tf.zeros([], tf.int64)
        tf.raw_ops.AssignVariableOp(resource=self._opened(), value=zero)
        weakref.finalize(self, _destroy, self._opened()).atexit = False

    def add(self, count):
        tf.raw_ops.AssignAddVariableOp(resource=self._opened(), value=count)

    def value(self):
        return int(
            tf.raw_ops.ReadVariableOp(resource=self._opened(), dtype=tf.int64)
        )

    def _opened(self):
        with tf.device("/CPU:0"):
            return tf.raw_ops.VarHandleOp(
                dtype=tf.int64, shape=[], shared_name=self._name
            )


def _destroy(resource):
    # Garbage is collected at any time, also while an op is added to a graph:
    # another op there would wait for the lock of that one for ever.
    with tf.init_scope():
        tf.raw_ops.DestroyResourceOp(resource=resource)
