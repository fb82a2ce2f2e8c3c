"""Models whose layers are replaced by others of other shapes."""

from collections.abc import Callable
from typing import Any

from tfrobust.averaging import network_of
from tfrobust.backend import keras
from tfrobust.compression.cloning import (
    OPERATIONS,
    carry,
    check,
    duplicate,
)
from tfrobust.compression.graph_config import replay
from tfrobust.compression.plain import made_plain

# Sums of fewer or other terms are rounded in another order.
TOLERANCE = 1e-4


def prepared(model: keras.Model) -> keras.Model:
    """Returns a model of stock layers that `run` can follow.

    Args:
        model: A functional or Sequential model, or a `RobustModel` of one.

    Raises:
        NotImplementedError: If operations in it are no layers; all are listed.
        ValueError: If the model isn't as described.
    """
    with network_of(model) as network:
        check(network)
        # A copy, as an average is the network's for the moment only.
        model = network if network is model else duplicate(network)
    if len(model.inputs) != 1:
        raise ValueError(
            "`model` must have one input. Received: "
            f"{model.name!r}, which has {len(model.inputs)}."
        )
    model = made_plain(model)
    refused = [
        f"{part.name} ({type(part).__name__})"
        for part in getattr(model, "operations", None) or model.layers
        if not isinstance(part, keras.layers.Layer)
        or type(part).__name__ in OPERATIONS
    ]
    if refused:
        raise NotImplementedError(
            "`model` must be made of layers. Received also the operations "
            f"{', '.join(refused)}. Write them as layers, such as "
            "keras.layers.Add."
        )
    return model


def run(model: keras.Model, layers: dict[str, Callable], inputs: Any) -> Any:
    """Calls other functions in the places of a model's layers.

    Args:
        model: What `prepared` returned.
        layers: Functions of one tensor or a list of them, by layer name.
        inputs: What the first ones are given.

    Returns:
        What the last one returns.
    """
    if not isinstance(model, keras.Sequential):
        return replay(model, layers, inputs)
    for layer in model.layers:
        inputs = layers[layer.name](inputs)
    return inputs


def rebuilt(
    model: keras.Model, layers: dict[str, Any], weights: dict[str, list]
) -> keras.Model:
    """Returns a functional model with other layers.

    Args:
        model: What `prepared` returned.
        layers: The layers, by the names of those that they replace.
        weights: The weights of those that are no copies, in the same way.
    """
    inputs = keras.Input(
        model.input_shape[1:],
        name=model.inputs[0].name.split(":")[0],
        dtype=model.inputs[0].dtype,
    )
    outputs = run(model, layers, inputs)
    copy = keras.Model(inputs, outputs, name=model.name)
    for layer in model.layers:
        new = layers[layer.name]
        if layer.name in weights:
            new.set_weights(weights[layer.name])
        elif isinstance(new, keras.layers.Layer):
            carry(layer, new)
    return copy
