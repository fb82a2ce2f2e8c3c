"""What a loss compares outputs with, and outputs that are no numbers."""

import math

import tensorflow as tf

from tfrobust import losses
from tfrobust.backend import keras


def surely_wrong(loss, y, outputs):
    """Returns outputs, those of an example the worst ones if any isn't finite.

    A comparison with NaN is false, so that a metric might take it for right.
    Where `loss` compares with other targets than classes NaN stays NaN, in its
    metrics too.
    """
    outputs = tf.cast(outputs, tf.float32)
    if losses.reads_classes(loss):
        y, _ = losses.class_labels(y, outputs)
        true = tf.one_hot(y, outputs.shape[-1], True, False, dtype=tf.bool)
    elif reads_rows(loss):
        true = y >= tf.reduce_max(y, axis=-1, keepdims=True)
    elif reads_bits(loss):
        y = tf.cast(losses.in_a_column(y, outputs), tf.float32)
        worst = tf.where(y > 0.5, -math.inf, math.inf)
        return tf.where(tf.math.is_finite(outputs), outputs, worst)
    else:
        return outputs
    finite = tf.math.is_finite(outputs)
    worst = tf.where(true, -math.inf, 0.0)
    return tf.where(tf.reduce_all(finite, -1, keepdims=True), outputs, worst)


def reads_rows(loss):
    """Whether `loss` compares logits with one-hot or soft labels."""
    kinds = (
        keras.losses.CategoricalCrossentropy,
        keras.losses.CategoricalFocalCrossentropy,
        keras.losses.CategoricalHinge,
    )
    return isinstance(loss, kinds)


def reads_bits(loss):
    """Whether `loss` compares each logit with a label that is 0 or 1."""
    kinds = (
        keras.losses.BinaryCrossentropy,
        keras.losses.BinaryFocalCrossentropy,
    )
    return isinstance(loss, kinds)
