"""The gradient of the score of a class by the input."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import losses
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.averaging import on_network
from tfrobust.gradients import input_gradient
from tfrobust.types import Model, TensorLike


@on_network
def saliency(
    model: Model,
    x: TensorLike,
    y: TensorLike | None = None,
    batch_size: int = 128,
) -> np.ndarray:
    """The gradient of `z_y - max(z_j, j != y)` by the input.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs, shape `[batch, ...]`, floating point.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        batch_size: Number of examples that are worked on at once.

    Returns:
        Maps of x's shape, float32.

    Raises:
        ValueError: If an argument isn't as expected, or no gradient reaches
            the model's input.

    Example:
        `maps = tfr.analysis.saliency(model, x, y)`

    Reference: Simonyan et al., 2014, arXiv 1312.6034, section 3; of the
    difference of logits: Etmann et al., 2019, arXiv 1905.04172.
    """
    x, y = problem(model, x, y, batch_size)
    return in_batches(
        lambda x, y: score_gradient(model, x, y)[1], batch_size, x, y
    )


def score_gradient(
    model: Model, x: tf.Tensor, y: tf.Tensor, other: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The score `z_y - z_j`, shape `[batch]`, and its gradient by x.

    Args:
        model: Callable of logits.
        x: Inputs, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
        other: The classes j, shape `[batch]`; None for the best ones but y.
    """

    def score(logits):
        if other is None:
            return -losses.margin(y, logits)
        gaps = (tf.gather(logits, k, axis=1, batch_dims=1) for k in (y, other))
        return tf.subtract(*gaps)

    values, _, gradient = input_gradient(model, x, score)
    return values, gradient


def runner_up(model: Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The class of the largest logit but that of y, int32 `[batch]`."""
    logits = tf.cast(model(x, training=False), tf.float32)
    others = tf.where(losses.true_class(y, logits), -math.inf, logits)
    return tf.argmax(others, -1, tf.int32)
