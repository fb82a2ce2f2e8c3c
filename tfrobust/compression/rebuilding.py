"""Models whose layers are replaced by others of other shapes."""

import numpy as np
import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.compression.cloning import check, clone, leaves
from tfrobust.compression.graph_config import replay
from tfrobust.compression.plain import plain
from tfrobust.model import RobustModel


def prepared(model):
    """Returns a model of stock layers that `run` can follow.

    Args:
        model: A functional or Sequential model, or a `RobustModel` of one.

    Raises:
        NotImplementedError: If operations in it are no layers; all are listed.
        ValueError: If the model isn't as described.
    """
    if isinstance(model, RobustModel):
        with model.averaged():
            # A copy, as the average is the network's for the moment only.
            return prepared(clone(model.network, lambda layer: None))
    check(model)
    if len(model.inputs) != 1:
        raise ValueError(
            "`model` must have one input. Received: "
            f"{model.name!r}, which has {len(model.inputs)}."
        )
    if any(hasattr(layer, "plain") for layer in leaves(model)):
        model = plain(model)
    refused = [
        f"{part.name} ({type(part).__name__})"
        for part in getattr(model, "operations", None) or model.layers
        if not isinstance(part, keras.layers.Layer)
        or type(part).__name__ in ("TFOpLambda", "SlicingOpLambda")
    ]
    if refused:
        raise NotImplementedError(
            "`model` must be made of layers. Received also the operations "
            f"{', '.join(refused)}. Write them as layers, such as "
            "keras.layers.Add."
        )
    return model


def run(model, layers, inputs):
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


def rebuilt(model, layers, weights):
    """Returns a functional model with other layers.

    Args:
        model: What `prepared` returned.
        layers: The layers, by the names of those that they replace.
        weights: Their weights, in the same way.
    """
    inputs = keras.Input(
        model.input_shape[1:],
        name=model.inputs[0].name.split(":")[0],
        dtype=model.inputs[0].dtype,
    )
    outputs = run(model, layers, inputs)
    copy = keras.Model(inputs, outputs, name=model.name)
    for name, values in weights.items():
        if values:
            layers[name].set_weights(values)
    return copy


def copied(layer):
    """A new layer like this one, without its weights."""
    if isinstance(layer, keras.Model):
        return clone(layer, lambda inner: None)
    return type(layer).from_config(layer.get_config())


def compare(model, copy):
    """Refuses a copy whose outputs differ by more than roundings.

    Raises:
        ValueError: If they do.
    """
    shape = [size or 32 for size in model.input_shape[1:]]
    x = tf.constant(np.random.default_rng(0).random([4, *shape], np.float32))
    outputs = np.asarray(model(x, training=False))
    gap = np.max(np.abs(np.asarray(copy(x, training=False)) - outputs))
    if not gap <= 1e-4 * max(1.0, np.max(np.abs(outputs))):
        raise ValueError(
            f"The outputs of the copy differ by {gap:.3g}, so it was not kept. "
            f"Does {model.name!r} have layers with several inputs or outputs?"
        )
