"""Convolutions of a hidden kernel."""

import numbers
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.layers.hidden_kernel import HiddenKernel, Pair


class Conv2DForm(HiddenKernel):
    """Convolves images with the kernel, channels last; abstract.

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, an integer or a pair.
        strides: An integer or a pair.
        padding: `"valid"` or `"same"`.
        dilation_rate: An integer or a pair.
        **kwargs: Of the rule, see `HiddenKernel`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Pair,
        strides: Pair = 1,
        padding: str = "valid",
        dilation_rate: Pair = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.count(filters, "filters")
        self.filters = filters
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = padding
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        check_window(self)

    def build(self, input_shape: Sequence) -> None:
        height, width = self.kernel_size
        channels = self._channels(input_shape, rank=4)
        self._add_kernel(
            (height, width, channels, self.filters),
            fan_in=height * width * channels,
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return self._stock().compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": tuple(self.kernel_size),
            "strides": tuple(self.strides),
            "padding": self.padding,
            "dilation_rate": tuple(self.dilation_rate),
        }

    def _apply_kernel(self, inputs, kernel):
        return tf.nn.convolution(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding.upper(),
            dilations=list(self.dilation_rate),
        )

    def _stock(self, **options):
        return keras.layers.Conv2D(
            self.filters,
            tuple(self.kernel_size),
            tuple(self.strides),
            self.padding,
            dilation_rate=tuple(self.dilation_rate),
            **options,
        )


def pair(value: Pair, name: str) -> tuple[int, int]:
    """Returns an integer twice, or a pair as a tuple."""
    both: Any = (value, value) if isinstance(value, numbers.Integral) else value
    fine = isinstance(both, (tuple, list)) and len(both) == 2
    checks.argument(fine, name, "be a whole number or a pair", repr(value))
    for number in both:
        checks.count(number, name)
    return tuple(both)


def check_window(layer: HiddenKernel) -> None:
    """Refuses a convolution that TensorFlow doesn't have."""
    checks.argument(
        layer.padding in ("valid", "same"),
        "padding",
        "be 'valid' or 'same'",
        repr(layer.padding),
    )
    checks.argument(
        max(layer.strides) == 1 or max(layer.dilation_rate) == 1,
        "dilation_rate",
        "be 1 where strides aren't",
        f"{tuple(layer.dilation_rate)} and strides={tuple(layer.strides)}",
    )
