"""Dense layers of a hidden kernel."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.layers.hidden_kernel import HiddenKernel


class DenseForm(HiddenKernel):
    """Multiplies the last axis of its inputs by the kernel; abstract.

    Args:
        units: Number of outputs.
        **kwargs: Of the rule, see `HiddenKernel`.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        checks.count(units, "units")
        self.units = units

    def build(self, input_shape: Sequence) -> None:
        channels = self._channels(input_shape)
        self._add_kernel((channels, self.units), fan_in=channels)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}

    def _apply_kernel(self, inputs, kernel):
        if inputs.shape.rank == 2:
            return tf.matmul(inputs, kernel)
        return tf.tensordot(inputs, kernel, 1)

    def _stock(self, **options):
        return keras.layers.Dense(self.units, **options)
