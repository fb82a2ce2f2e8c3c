"""Convolutions of a hidden kernel."""

import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.layers.hidden_kernel import HiddenKernel


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
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        dilation_rate=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.padding = padding
        self.dilation_rate = pair(dilation_rate)

    def build(self, input_shape):
        height, width = self.kernel_size
        channels = input_shape[-1]
        self._add_kernel(
            (height, width, channels, self.filters),
            fan_in=height * width * channels,
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return self._stock().compute_output_shape(input_shape)

    def get_config(self):
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


def pair(value):
    """Returns an integer twice, or a pair as a tuple."""
    return (value, value) if isinstance(value, int) else tuple(value)
