"""The quantisation scheme of TF-MOT with one-bit layers. Imports TF-MOT."""

from collections.abc import Collection
from typing import Any

from tfrobust.backend import keras
from tfrobust.compression.one_bit_config import OneBitConfig
from tfrobust.compression.tfmot import tfmot

QuantizeScheme: Any = tfmot().quantization.keras.QuantizeScheme
QuantizeRegistry: Any = tfmot().quantization.keras.QuantizeRegistry

# What TF-MOT can place a rounding before or after.
_ACTIVATIONS = {
    "NoOpActivation",
    "gelu",
    "linear",
    "relu",
    "sigmoid",
    "softmax",
    "swish",
    "tanh",
}


class EightBits(QuantizeScheme):
    """A scheme of 8 bits that knows one-bit layers, and lists what it can't.

    TF-MOT stops at the first layer that it cannot quantise. This goes on
    without quantising it.

    Args:
        scheme: The scheme of TF-MOT for all other layers.
        one_bit: Names of the layers with one-bit kernels.

    Attributes:
        refused: The layers that were not quantised, known after use.
    """

    def __init__(self, scheme: Any, one_bit: Collection[str]):
        self.scheme, self.one_bit = scheme, one_bit
        self.refused: list[keras.layers.Layer] = []

    def get_layout_transformer(self) -> Any:
        return self.scheme.get_layout_transformer()

    def get_quantize_registry(self) -> Any:
        return _Registry(self)


class _Registry(QuantizeRegistry):
    def __init__(self, owner):
        self._owner = owner
        self._registry = owner.scheme.get_quantize_registry()

    def supports(self, layer):
        return True

    def get_quantize_config(self, layer):
        config = None
        if _activation(layer) in _ACTIVATIONS:
            config = self._config(layer)
        if config is None:
            self._owner.refused.append(layer)
            return self._config(keras.layers.Flatten())
        return config

    def _config(self, layer):
        """How to quantise a layer, or None."""
        if layer.name in self._owner.one_bit:
            return OneBitConfig()
        try:
            # Some registries say they support what they then refuse.
            return self._registry.get_quantize_config(layer)
        except ValueError:
            return None


def _activation(layer):
    """The name of a layer's activation."""
    activation = getattr(layer, "activation", None)
    kind = getattr(activation, "__name__", type(activation).__name__)
    return "linear" if activation is None else kind
