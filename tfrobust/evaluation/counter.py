"""Counting the passes that an adversary spends."""

import tensorflow as tf


class Counter:
    """A model that counts the examples passed forward and backward through it.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
    """

    def __init__(self, model):
        self._model = model
        self._forward = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._backward = tf.Variable(0, dtype=tf.int64, trainable=False)

    def __call__(self, x, training=False):
        count = tf.shape(x, out_type=tf.int64)[0]
        self._forward.assign_add(count)

        @tf.custom_gradient
        def counted(logits):
            def gradient(upstream):
                self._backward.assign_add(count)
                return upstream

            return tf.identity(logits), gradient

        return counted(self._model(x, training=training))

    def passes(self):
        """Returns the examples passed forward and backward so far."""
        return int(self._forward), int(self._backward)
