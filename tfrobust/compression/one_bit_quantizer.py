"""A quantizer of weights to one bit. Imports TF-MOT."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.compression.tfmot import tfmot

Quantizer: Any = tfmot().quantization.keras.quantizers.Quantizer


class OneBitQuantizer(Quantizer):
    """Signs of the weights times one scale for each output channel.

    The scale is the mean magnitude of the channel's weights, which brings it
    nearest to them. A weight of 0 counts as positive. The gradient passes as
    if the weights had not been quantised.

    Args:
        axes: The axes of the kernel that count output channels.

    Reference: Rastegari et al., 2016, arXiv 1603.05279, equation 6.
    """

    def __init__(self, axes: Sequence[int] = (-1,)):
        self.axes = tuple(axes)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict:
        return {}

    def __call__(
        self, inputs: tf.Tensor, training: Any, weights: dict, **kwargs
    ) -> tf.Tensor:
        weight = tf.convert_to_tensor(inputs)
        rank = len(weight.shape)
        channels = {axis % rank for axis in self.axes}
        rest = [axis for axis in range(rank) if axis not in channels]
        scale = tf.reduce_mean(tf.abs(weight), rest, keepdims=True)
        signs = tf.where(weight >= 0, scale, -scale)
        return weight + tf.stop_gradient(signs - weight)

    def get_config(self) -> dict[str, Any]:
        return {"axes": list(self.axes)}
