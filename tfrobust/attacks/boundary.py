"""Decision boundaries of a model, linearised at points.

The boundary to a wrong class is where its lead, the wrong logit minus the
true one, is zero. A linearisation is the lead, shape `[batch, 1]`, and its
gradient, shape `[batch, features]`.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks.active import choose
from tfrobust.gradients import input_gradient
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat
from tfrobust.types import Model, TensorLike


def wrong_classes(y: TensorLike, logits: tf.Tensor, count: int) -> tf.Tensor:
    """The most likely wrong classes, shape `[batch, count]`, or all of them."""
    count = min(count, logits.shape[1] - 1)
    true = losses.true_class(y, logits)
    return tf.math.top_k(tf.where(true, -float("inf"), logits), count).indices


def towards(
    target: tf.Tensor, model: Model, x: tf.Tensor, y: TensorLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """Linearises the boundary to one class for each example."""
    lead, _, gradient = input_gradient(
        model, x, lambda logits: _entry(logits, target) - _entry(logits, y)
    )
    return lead[:, tf.newaxis], flat(gradient)


def nearest(
    threat: Threat, free: tf.Tensor, model: Model, x: tf.Tensor, y: TensorLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """Linearises the boundary that then is the nearest, ignoring the range.

    Args:
        threat: The `Threat` whose norm measures.
        free: 1 where a feature may move, 0 elsewhere, as rows.
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
    """
    logits, jacobian = _jacobian(model, x)
    leads = logits - _entry(logits, y)[:, tf.newaxis]
    gradients = jacobian - _entry(jacobian, y)[:, tf.newaxis]
    speed = threat.dual_norm(gradients * free[:, tf.newaxis])
    distance = tf.abs(leads) / tf.maximum(speed, 1e-30)
    true = losses.true_class(y, logits)
    chosen = tf.argmin(tf.where(true, float("inf"), distance), axis=1)
    return _entry(leads, chosen)[:, tf.newaxis], _entry(gradients, chosen)


def sharpened(
    x: tf.Tensor, point: tf.Tensor, lead: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves misclassified points back to the boundary by the secant.

    Args:
        x: Inputs on the other side, shape `[batch, ...]`.
        point: The points, of x's shape.
        lead: Maps points to the lead of the best wrong class, `[batch]`.

    Returns:
        The points, and whether they are misclassified.
    """

    def step(inner, inner_lead, outer, outer_lead):
        high = tf.minimum(outer_lead, 1e30)  # Were it infinite: large.
        share = tf.math.divide_no_nan(high, high - inner_lead)
        # On the zero of the secant rounding would decide the class.
        middle = outer + column(0.9 * share, x) * (inner - outer)
        middle_lead = lead(middle)
        wrong = middle_lead > 0
        return (
            choose(wrong, inner, middle),
            tf.where(wrong, inner_lead, middle_lead),
            choose(wrong, middle, outer),
            tf.where(wrong, middle_lead, outer_lead),
        )

    _, _, point, value = tf.while_loop(
        lambda *_: True,
        step,
        (x, lead(x), point, lead(point)),
        maximum_iterations=3,
    )
    return point, value > 0


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
