"""Networks carried from one Keras to the other."""

import importlib
from typing import Any

from tfrobust.compression.cloning import carry
from tfrobust.compression.comparison import compare
from tfrobust.compression.counterparts import counterpart, refused
from tfrobust.compression.graph_config import replay


def to_tf_keras(model: Any) -> Any:
    """Returns a tf_keras copy of a Keras 3 model, with equal outputs.

    TF-MOT works on tf_keras models only. Both Kerases fit into one process:
    convert where Keras 3 runs, `save` the result, and load the file where
    TF_USE_LEGACY_KERAS=1 is set before Python starts.

    Args:
        model: A built functional or Sequential model of built-in layers, with
            one input and one output.

    Raises:
        ImportError: If one of the two Kerases is missing.
        NotImplementedError: If layers have no counterpart; all are listed.
        TypeError: If the model isn't a Keras 3 model.
        ValueError: If the model isn't as described, or the outputs differ.

    Example:
        `legacy = tfr.compression.to_tf_keras(network)`
    """
    return _converted(model, "keras", "tf_keras")


def to_keras(model: Any) -> Any:
    """Returns a Keras 3 copy of a tf_keras model, with equal outputs.

    Pass a pruned or clustered model through `strip` first. Arguments and
    errors are those of `to_tf_keras`, the other way round.

    Example:
        `network = tfr.compression.to_keras(tfr.compression.strip(pruned))`
    """
    return _converted(model, "tf_keras", "keras")


def _converted(model, *names):
    source, target = map(_package, names)
    if not isinstance(model, source.Model):
        raise TypeError(
            f"`model` must be a model of {names[0]}. Received: {model!r}"
        )
    ends = [getattr(model, name, None) for name in ("inputs", "outputs")]
    if any(len(end or []) != 1 for end in ends):
        raise ValueError(
            "`model` must be a functional or Sequential model that is built "
            f"and has one input and one output. Received: {model!r}"
        )
    unfit = refused(model, source, target)
    if unfit:
        raise NotImplementedError(
            f"Only built-in layers have a counterpart in {names[1]}. Received "
            f"also: {', '.join(unfit)}. Replace these layers, or build the "
            f"network with {names[1]} and copy its weights."
        )
    pairs: list = []
    copy = _copied(model, target, pairs)
    for old, new in pairs:
        carry(old, new)
    compare(model, copy)
    return copy


def _package(name):
    try:
        # `backend` imports only the Keras in use.
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"Conversion needs {name}, which is missing. Install it: "
            'pip install "tfrobust[tfmot]"'
        ) from error


def _copied(model, target, pairs):
    """Rebuilds a model; appends each layer and its copy to `pairs`."""
    copies = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            copies[layer.name] = _copied(layer, target, pairs)
        elif type(layer).__name__ == "InputLayer":
            input_name = layer.name
        else:
            copies[layer.name] = counterpart(layer, target)
            pairs.append((layer, copies[layer.name]))
    if hasattr(model, "add"):
        inputs = target.Input(model.input_shape[1:])
        return target.Sequential([inputs, *copies.values()], name=model.name)
    inputs = target.Input(model.input_shape[1:], name=input_name)
    outputs = replay(model, copies, inputs)
    return target.Model(inputs, outputs, name=model.name)
