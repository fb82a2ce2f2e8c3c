"""The larger and the smaller of pairs of features."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras, register


@register
class MinMax(keras.layers.Layer):
    """Sorts pairs of features, the larger of each first.

    The first half of the last axis is compared with the second: `a, b` becomes
    `max(a, b), min(a, b)`. It only moves values, so it keeps the length of
    every gradient, where a ReLU drops those of half of them: networks that are
    trained for their Lipschitz constant (`objectives.GloRo`) are better with
    it. All verifiers bound it; `verifiers.Lipschitz` knows that it lengthens
    no move.

    Args:
        name: Of the layer, as in Keras.
        dtype: As in Keras, also a policy of mixed precision.
        trainable: As in Keras; there is nothing to train.
        **kwargs: Others of every Keras layer.

    Call arguments:
        inputs: Shape `[batch, ..., features]`, an even number of features.

    Raises:
        ValueError: At use, if the number of features isn't even.

    Example:
        `keras.Sequential([keras.layers.Dense(8), tfr.layers.MinMax()])`

    Reference: Anil et al., 2019, arXiv 1811.05381, section 4.2 (GroupSort of
    size 2).
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **kwargs,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable, **kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        self._check(inputs.shape)
        first, second = tf.split(inputs, 2, axis=-1)
        pair = [tf.maximum(first, second), tf.minimum(first, second)]
        return tf.concat(pair, axis=-1)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        self._check(input_shape)
        return tuple(input_shape)

    def _check(self, shape):
        features = shape[-1] if len(shape) > 1 else None
        even = features is not None and features % 2 == 0
        expected = "have an even number of features to pair, [..., features]"
        checks.argument(even, "inputs", expected, tuple(shape))
