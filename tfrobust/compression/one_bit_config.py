"""How a layer with one-bit weights is quantised. Imports TF-MOT."""

from typing import Any

from tfrobust.backend import keras
from tfrobust.compression.one_bit_quantizer import OneBitQuantizer
from tfrobust.compression.tfmot import tfmot

tools = tfmot().quantization.keras
QuantizeConfig: Any = tools.QuantizeConfig


class OneBitConfig(QuantizeConfig):
    """One-bit kernels and 8-bit activations, for Conv2D, Dense and depthwise.

    `quantize(model, calibration, one_bit=[...])` applies it; TF-MOT's
    `quantize_annotate_layer` takes it too.

    Reference: Rastegari et al., 2016, arXiv 1603.05279.
    """

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list:
        name, axes = _kernel(layer)
        return [(getattr(layer, name), OneBitQuantizer(axes))]

    def set_quantize_weights(
        self, layer: keras.layers.Layer, quantize_weights: list
    ) -> None:
        setattr(layer, _kernel(layer)[0], quantize_weights[0])

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list:
        quantizer = tools.quantizers.MovingAverageQuantizer(
            num_bits=8, per_axis=False, symmetric=False, narrow_range=False
        )
        return [(layer.activation, quantizer)]

    def set_quantize_activations(
        self, layer: keras.layers.Layer, quantize_activations: list
    ) -> None:
        layer.activation = quantize_activations[0]

    def get_output_quantizers(self, layer: keras.layers.Layer) -> list:
        return []

    def get_config(self) -> dict[str, Any]:
        return {}


def _kernel(layer):
    """The name of a layer's kernel, and its axes of output channels."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return "depthwise_kernel", (-2, -1)
    return "kernel", (-1,)
