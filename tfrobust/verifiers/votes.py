"""What a network answers under Gaussian noise."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust.tracing import compiled
from tfrobust.types import Model

# So many examples have noise of their own, and so many seeds.
EXAMPLES, SEEDS = 2**40, 2**20


def voting(
    model: Model, shape: tuple, sigma: float, batch_size: int
) -> Callable[..., np.ndarray]:
    """A function that counts what a network answers to draws of noise.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        shape: Shape of one input.
        sigma: Standard deviation of the noise.
        batch_size: Number of draws at a time.

    Returns:
        A function `(x, key, begin, end)` of one input, of an integer that keys
        its stream of draws, and of the numbers of the first draw and of that
        after the last, to counts of the classes, `[classes]`. Answers that are
        no numbers count for none.

    Raises:
        ValueError: At use, if the network doesn't answer with two logits or
            more.
    """

    @compiled
    def some(x, key, begin, count):
        noise = tf.random.stateless_normal(
            tf.concat([[count], shape], axis=0), tf.stack([key, begin])
        )
        noise = tf.ensure_shape(noise, [None, *shape])
        logits = tf.cast(model(x + sigma * noise, training=False), tf.float32)
        _check(logits.shape)
        classes = logits.shape[-1]
        fine = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        best = tf.argmax(logits, axis=1, output_type=tf.int32)
        answers = tf.where(fine, best, classes)
        return tf.math.bincount(
            answers, minlength=classes + 1, maxlength=classes + 1
        )

    def votes(x, key, begin, end):
        parts = []
        for first in range(begin, end, batch_size):
            count = min(batch_size, end - first)
            numbers = (tf.constant(number, tf.int64) for number in (key, first))
            parts.append(some(tf.constant(x), *numbers, tf.constant(count)))
        counts: np.ndarray = np.array(parts, np.int64).sum(axis=0)
        return counts[:-1]

    return votes


def _check(shape):
    """Refuses answers of which the largest is no class."""
    if shape.rank != 2 or shape[-1] is None or shape[-1] < 2:
        raise ValueError(
            "`model` must answer with logits of shape [batch, classes], of at "
            f"least 2 classes. Received shape {shape}. For one logit pass "
            "tfr.logits_of(network)."
        )
