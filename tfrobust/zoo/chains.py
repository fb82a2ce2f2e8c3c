"""Chains of layers as JSON that both Kerases read."""

from collections.abc import Sequence
from typing import Any

from tfrobust.backend import keras
from tfrobust.layers import MinMax

layers = keras.layers
_CLASSES = {
    layers.Activation: ("activation",),
    layers.BatchNormalization: ("epsilon", "center", "scale"),
    layers.Conv2D: (
        *("filters", "kernel_size", "strides", "padding"),
        *("use_bias", "activation"),
    ),
    layers.Dense: ("units", "use_bias", "activation"),
    layers.Flatten: (),
    layers.GlobalAveragePooling2D: (),
    layers.ReLU: (),
    MinMax: (),
}
_BY_NAME = {kind.__name__: kind for kind in _CLASSES}


def described(model: keras.Model) -> dict[str, Any]:
    """What `built` needs to build a model: its input and its layers.

    Args:
        model: A chain of layers, of those in the table.

    Raises:
        NotImplementedError: If there are other layers; all are listed.
    """
    steps = [
        layer
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    ]
    others = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in steps
        if type(layer) not in _CLASSES
    ]
    if others:
        raise NotImplementedError(
            f"The zoo holds chains of {', '.join(sorted(_BY_NAME))}. Received "
            f"also: {', '.join(others)}. Write "
            "tfr.compression.plain(model), or replace them."
        )
    return {
        "input": [*model.input_shape[1:]],
        "layers": [_described(layer) for layer in steps],
    }


def built(description: dict[str, Any], name: str) -> keras.Model:
    """A new model of what `described` returned, with an input named image."""
    image = keras.Input(description["input"], name="image")
    x = image
    for kind, arguments in description["layers"]:
        x = _BY_NAME[kind](**arguments)(x)
    return keras.Model(image, x, name=name)


def weights_of(model: keras.Model) -> dict[str, Any]:
    """The weights of a chain by names that both Kerases share."""
    return {
        f"{number}_{position}": value
        for number, layer in enumerate(_weighted(model.layers))
        for position, value in enumerate(layer.get_weights())
    }


def set_weights(model: keras.Model, weights: Any) -> None:
    """Sets what `weights_of` returned."""
    for number, layer in enumerate(_weighted(model.layers)):
        count = len(layer.get_weights())
        layer.set_weights([weights[f"{number}_{k}"] for k in range(count)])


def _described(layer):
    config = layer.get_config()
    return [
        type(layer).__name__,
        {name: config[name] for name in _CLASSES[type(layer)]},
    ]


def _weighted(layers: Sequence):
    return [layer for layer in layers if layer.get_weights()]
