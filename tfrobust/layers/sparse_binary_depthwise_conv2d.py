"""The sparse binary depthwise convolution."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras, register
from tfrobust.layers.conv2d_form import check_window, pair
from tfrobust.layers.hidden_kernel import Pair, shows_arguments
from tfrobust.layers.sparse_binary import SparseBinary


@register
@shows_arguments
class SparseBinaryDepthwiseConv2D(SparseBinary):
    """A depthwise convolution that keeps the best scored of random signs.

    Args:
        kernel_size: Height and width of the kernel, an integer or a pair.
        strides: An integer, as TensorFlow strides both axes alike.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Number of outputs of each channel.
        dilation_rate: An integer or a pair.
        **kwargs: `density`, `score_scale`, `initializer`,
            `score_regularizer`, `seed`, `activation` and those of every Keras
            layer, all explained at `SparseBinary`.

    Call arguments:
        inputs: Images, shape `[batch, height, width, channels]`.

    Example:
        `tfr.layers.SparseBinaryDepthwiseConv2D(3, density=0.5)`

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """

    def __init__(
        self,
        kernel_size: Pair,
        strides: Pair = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: Pair = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.count(depth_multiplier, "depth_multiplier")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = padding
        self.depth_multiplier = depth_multiplier
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        check_window(self)
        checks.argument(
            self.strides[0] == self.strides[1],
            "strides",
            "be the same in both axes",
            tuple(self.strides),
        )

    def build(self, input_shape: Sequence) -> None:
        height, width = self.kernel_size
        channels = self._channels(input_shape, rank=4)
        self._add_kernel(
            (height, width, channels, self.depth_multiplier),
            fan_in=height * width,
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return self._stock().compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": tuple(self.kernel_size),
            "strides": tuple(self.strides),
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "dilation_rate": tuple(self.dilation_rate),
        }

    def _apply_kernel(self, inputs, kernel):
        return tf.nn.depthwise_conv2d(
            inputs,
            kernel,
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
            dilations=list(self.dilation_rate),
        )

    def _stock(self, **options):
        return keras.layers.DepthwiseConv2D(
            tuple(self.kernel_size),
            tuple(self.strides),
            self.padding,
            self.depth_multiplier,
            dilation_rate=tuple(self.dilation_rate),
            **options,
        )
