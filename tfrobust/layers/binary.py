"""Binary kernels: the signs of real weights."""

import numbers
from typing import Any

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.backend import keras
from tfrobust.layers.hidden_kernel import HiddenKernel, regularizer


class Binary(HiddenKernel):
    """The signs of trained real weights; abstract.

    The weights are clipped to [-1, 1] after every step, and the gradient
    passes the sign as if it were not there. A weight of 0 counts as positive.

    Args:
        stochastic: Whether training draws each sign, 1 with probability
            `(weight + 1) / 2`. Inference always takes the sign. The draw is
            keyed by the weights themselves, so that it is a new one after
            each step, and the same one throughout a step.
        kernel_initializer: Keras initializer of the real weights.
        kernel_regularizer: Keras regularizer of the real weights.
        seed: Integer that keys the draws.
        **kwargs: See `HiddenKernel`.

    Reference: Courbariaux et al., 2015, arXiv 1511.00363, algorithm 1.
    """

    def __init__(
        self,
        stochastic: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.kind(stochastic, bool, "stochastic", "True")
        checks.kind(seed, numbers.Integral, "seed", "0")
        self.stochastic = stochastic
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizer(
            kernel_regularizer, "kernel_regularizer"
        )
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "stochastic": self.stochastic,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "seed": self.seed,
        }

    def _add_kernel(self, shape, fan_in):
        self.weight = self._add_float32(
            "weight",
            shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=_Clipped(),
        )

    def _effective_kernel(self, training):
        weight = tf.convert_to_tensor(self.weight)
        if self.stochastic:
            row = tf.reshape(weight, [1, -1])
            draws = tf.reshape(streams.uniform(row, self.seed), weight.shape)
            drawn = 2 * draws - 1 < weight
            positive = tf.where(training, drawn, weight >= 0)
        else:
            positive = weight >= 0
        return _straight_through(weight, tf.where(positive, 1.0, -1.0))


class _Clipped(keras.constraints.Constraint):
    """Weights in [-1, 1]. Not every release of Keras takes a function."""

    def __call__(self, weight: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(weight, -1.0, 1.0)


@tf.custom_gradient
def _straight_through(weight, kernel):
    """The kernel, whose gradient reaches the weights unchanged."""

    def gradient(upstream):
        return upstream, None

    return tf.identity(kernel), gradient
