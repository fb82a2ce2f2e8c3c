"""Chains of layers as JSON that both Kerases read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
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
# What a configuration says of names and training: no logit depends on it.
_OF_TRAINING = {
    *("name", "trainable", "batch_input_shape", "momentum", "synchronized"),
    *("activity_regularizer", "beta_constraint", "beta_initializer"),
    *("beta_regularizer", "bias_constraint", "bias_initializer"),
    *("bias_regularizer", "gamma_constraint", "gamma_initializer"),
    *("gamma_regularizer", "kernel_constraint", "kernel_initializer"),
    *("kernel_regularizer", "moving_mean_initializer"),
    *("moving_variance_initializer", "renorm_momentum"),
}


def described(model: keras.Model) -> dict[str, Any]:
    """What `built` needs to build a model: its input and its layers.

    Args:
        model: A chain of layers, of those in the table.

    Raises:
        NotImplementedError: If there are other layers, or layers with settings
            that aren't written; all are listed.
        ValueError: If it doesn't map one float32 input to one output.
    """
    _check_ends(model)
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
    others = [shown for layer in steps for shown in _unwritten(layer)]
    if others:
        raise NotImplementedError(
            "The zoo keeps of a layer what its table names, such as units or "
            "strides, and Keras's defaults of the rest. Received: "
            f"{', '.join(others)}. Replace these layers, or keep the network "
            "with model.save."
        )
    return {
        "input": [*model.inputs[0].shape[1:]],
        "layers": [_described(layer) for layer in steps],
    }


def built(description: dict[str, Any], name: str) -> keras.Model:
    """A new model of what `described` returned, with an input named image."""
    image = keras.Input(description["input"], name="image")
    x = image
    for kind, arguments in description["layers"]:
        x = _BY_NAME[kind](**arguments, dtype="float32")(x)
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


def _check_ends(model):
    """Refuses what isn't from one float32 input to one output."""
    inputs, outputs = (
        getattr(model, ends, None) or [] for ends in ("inputs", "outputs")
    )
    kinds = [tf.as_dtype(tensor.dtype).name for tensor in inputs]
    fits = kinds == ["float32"] and len(outputs) == 1
    expected = "be a Keras model, built, of one float32 input and one output"
    received = f"inputs {kinds}, {len(outputs)} outputs"
    checks.argument(fits, "model", expected, received)


def _unwritten(layer):
    """What settings a layer has that a rebuilt one wouldn't, as text."""
    shown = f"{layer.name} ({type(layer).__name__}) with "
    function = getattr(layer, "activation", keras.activations.linear)
    name = getattr(function, "__name__", None)
    if getattr(keras.activations, str(name), None) is not function:
        return [f"{shown}activation={name or checks.shown(function)}"]
    _, arguments = _described(layer)
    copy = type(layer)(**arguments, dtype="float32")
    config, rebuilt = (_computing(part, layer) for part in (layer, copy))
    return [
        f"{shown}{key}={checks.shown(config.get(key))}"
        for key in {**config, **rebuilt}
        if not _same(config.get(key), rebuilt.get(key))
    ]


def _computing(layer, built):
    """The part of a configuration that logits depend on."""
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in _OF_TRAINING
    }
    if "axis" in config:  # Of the last one there are three ways to tell.
        axes = np.ravel(config["axis"]) % built.input_spec.ndim
        config["axis"] = axes.tolist()
    return config


def _same(one, other):
    return one is other or bool(np.all(one == other))


def _weighted(layers: Sequence):
    return [layer for layer in layers if layer.get_weights()]
