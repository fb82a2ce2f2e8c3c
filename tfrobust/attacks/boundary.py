"""Decision boundaries of a model, linearised at points.

The boundary to a wrong class is where its lead, the wrong logit minus the
true one, is zero. A linearisation is the lead, shape `[batch, 1]`, and its
gradient, shape `[batch, features]`.
"""

import math

import tensorflow as tf

from tfrobust.gradients import input_gradient
from tfrobust.threats.rows import flat


def wrong_classes(y, logits, count):
    """The most likely wrong classes, shape `[batch, count]`, or all of them."""
    count = min(count, logits.shape[1] - 1)
    true = tf.one_hot(y, logits.shape[1], on_value=True, off_value=False)
    return tf.math.top_k(tf.where(true, -float("inf"), logits), count).indices


def towards(target, model, x, y):
    """Linearises the boundary to one class for each example."""
    lead, _, gradient = input_gradient(
        model, x, lambda logits: _entry(logits, target) - _entry(logits, y)
    )
    return lead[:, tf.newaxis], flat(gradient)


def nearest(order, free, model, x, y):
    """Linearises the boundary that then is the nearest, ignoring the range.

    Args:
        order: The p of the norm that measures: 1, 2 or infinity.
        free: 1 where a feature may move, 0 elsewhere, as rows.
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
    """
    logits, jacobian = _jacobian(model, x)
    leads = logits - _entry(logits, y)[:, tf.newaxis]
    gradients = jacobian - _entry(jacobian, y)[:, tf.newaxis]
    dual = {1: math.inf, 2: 2, math.inf: 1}[order]
    speed = tf.norm(gradients * free[:, tf.newaxis], dual, axis=2)
    distance = tf.abs(leads) / tf.maximum(speed, 1e-30)
    true = tf.one_hot(y, logits.shape[1], on_value=True, off_value=False)
    chosen = tf.argmin(tf.where(true, float("inf"), distance), axis=1)
    return _entry(leads, chosen)[:, tf.newaxis], _entry(gradients, chosen)


def _jacobian(model, x):
    """Logits, and their gradients, shape `[batch, classes, features]`."""
    with tf.GradientTape(
        persistent=True, watch_accessed_variables=False
    ) as tape:
        tape.watch(x)
        logits = tf.cast(model(x, training=False), tf.float32)
        # As in `input_gradient`: float16 layers must not flush them to zero.
        scaled = 256.0 * logits
    # A loop over the classes takes any operation; vectorised by TensorFlow it
    # is no faster on a CPU, and warns of operations it doesn't know.
    jacobian = tape.batch_jacobian(scaled, x, experimental_use_pfor=False)
    shape = [tf.shape(x)[0], logits.shape[1], math.prod(x.shape[1:])]
    jacobian = tf.reshape(jacobian, shape) / 256.0
    return logits, tf.where(tf.math.is_finite(jacobian), jacobian, 0.0)


def _entry(values, index):
    """The entry of each row at its index."""
    return tf.gather(values, index, batch_dims=1)
