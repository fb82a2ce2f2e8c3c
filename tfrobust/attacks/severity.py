"""How bad a point is: what attacks ascend, and what they judge points by.

A point at which the model's outputs aren't finite is the worst there is: it
counts as misclassified, and its loss is infinite, so that no other exceeds it.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.types import TensorLike


def ascended(
    loss: str | Callable[..., Any], y: TensorLike, outputs: tf.Tensor
) -> tf.Tensor:
    """What an attack on `loss` ascends, shape `[batch]`.

    For the cross entropy without smoothing it is the log odds against the
    label, `odds`, for any other loss the loss itself.
    """
    loss = losses.get(loss)
    if losses.reads_classes(loss) and outputs.shape.rank == 2:
        # Keras may be told to ignore a class that there isn't.
        if getattr(loss, "ignore_class", None) is None:
            y = checks.labels(y, outputs)
    plain = type(loss) is losses.CrossEntropy and not loss.label_smoothing
    if plain or loss is losses.cross_entropy:
        return odds(y, outputs)
    return losses.per_example(loss, y, outputs)


def odds(y: TensorLike, logits: TensorLike) -> tf.Tensor:
    """The log of `mean(exp(wrong logits)) / exp(true logit)`, `[batch]`.

    The cross entropy of n classes is `log(1 + (n - 1) * exp(odds))`: it grows
    where the odds do and has a gradient of the same direction. But in float32
    its gradient is 0 where the model is sure, at leads from about 100 on, and
    it is the same number for all logits below 1e-7. The odds never are.
    """
    y, logits = losses.class_labels(y, logits)
    true = losses.true_class(y, logits)
    best = tf.reduce_max(tf.where(true, -math.inf, logits), -1, keepdims=True)
    best = tf.stop_gradient(best)  # It cancels, but for rounding.
    gaps = tf.math.expm1(tf.where(true, best, logits) - best)
    mean = tf.reduce_sum(gaps, axis=-1) / (logits.shape[-1] - 1)
    correct = tf.reduce_sum(tf.where(true, logits, 0.0), axis=-1)
    return best[:, 0] - correct + tf.math.log1p(mean)


def lead(y: TensorLike, logits: tf.Tensor) -> tf.Tensor:
    """The margin loss, positive where the model errs or gives no number."""
    return judged(losses.margin(y, logits), logits)


def judged(
    values: tf.Tensor, outputs: tf.Tensor, over: tf.Tensor | bool = False
) -> tf.Tensor:
    """The losses, infinite where nothing is worse.

    Args:
        values: Losses, shape `[batch]`.
        outputs: The model's outputs, shape `[batch, ...]`.
        over: Where else nothing is worse, shape `[batch]`.
    """
    axes = list(range(1, outputs.shape.rank))
    fine = tf.reduce_all(tf.math.is_finite(outputs), axes)
    fine &= ~tf.math.is_nan(values)
    return tf.where(fine & tf.logical_not(over), values, math.inf)
