"""TensorFlow Model Optimization (TF-MOT), and the models that it takes."""

import functools
import importlib
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tfrobust import checks
from tfrobust.averaging import on_network
from tfrobust.backend import NAME, is_foreign_model, keras
from tfrobust.compression.cloning import check, leaves
from tfrobust.model import RobustModel


def tfmot() -> Any:
    """Returns the package, imported at the first call.

    Importing it chooses tf_keras for the whole process.

    Raises:
        ImportError: If it isn't installed.
        NotImplementedError: If tfrobust runs on Keras 3 here.
    """
    if NAME != "tf_keras":
        raise NotImplementedError(
            "TF-MOT works on tf_keras models only, and tfrobust runs on Keras "
            "3 here. Carry the network across with "
            "tfr.compression.to_tf_keras, save it, and load it where "
            "TF_USE_LEGACY_KERAS=1 is set before Python starts."
        )
    try:
        return importlib.import_module("tensorflow_model_optimization")
    except ImportError as error:
        raise ImportError(
            "Pruning, clustering and quantisation need TF-MOT, which is "
            'missing. Install it: pip install "tfrobust[tfmot]"'
        ) from error


def takes_network(change: Callable) -> Callable:
    """Lets `change(network, ...)` take a `RobustModel` too, and checks both.

    Of a `RobustModel` it changes the network, with the averaged weights if
    there are any.
    """

    @functools.wraps(change)
    @on_network
    def checked(network, *args, **kwargs):
        return change(checked_network(network), *args, **kwargs)

    return checked


def checked_network(model: keras.Model) -> keras.Model:
    """Returns a network, or that of a `RobustModel`, if TF-MOT can take it."""
    tfmot()
    network = model.network if isinstance(model, RobustModel) else model
    if is_foreign_model(network):
        raise TypeError(
            "`model` must be a tf_keras model. Received a model of Keras 3. "
            "Pass it through tfr.compression.to_tf_keras first."
        )
    check(network)
    return network


def named(layers: Iterable) -> str:
    """Names layers and their types, for sentences."""
    return ", ".join(f"{x.name} ({type(x).__name__})" for x in layers)


def chosen(layers: list, names: Collection[str] | None) -> list:
    """The layers of these names, or all that are trained."""
    if names is None:
        return [layer for layer in layers if layer.trainable]
    check_names(names, "layers")
    checks.argument(len(names) > 0, "layers", "name a layer", repr(names))
    unknown = sorted(set(names) - {layer.name for layer in layers})
    if unknown:
        raise ValueError(
            "`layers` must name layers of the model. Received also: "
            f"{', '.join(unknown)}"
        )
    return [layer for layer in layers if layer.name in names]


def check_names(names: Any, argument: str) -> None:
    """Refuses what is no collection of names."""
    fine = isinstance(names, (list, tuple, set, frozenset)) and all(
        isinstance(name, str) for name in names
    )
    checks.argument(fine, argument, "be a list of names", repr(names))


def check_found(wrappers: Collection, model: keras.Model) -> None:
    """Refuses a model in which there was nothing to do."""
    if not wrappers:
        raise ValueError(
            "`model` must have a kernel that is trained. Received: "
            f"{model.name!r}, which has none."
        )


def has_other_kernels(layer: keras.layers.Layer, reached: list) -> bool:
    """Whether a layer trains kernels that are not among the ones reached.

    TF-MOT leaves depthwise kernels as they are, and says nothing.
    """
    biases = [getattr(x, "bias", None) for x in layer._flatten_layers()]
    known = {id(weight) for weight in (*reached, *biases)}
    return any(
        len(weight.shape) > 1 and id(weight) not in known
        for weight in layer.trainable_weights
    )


def is_quantized(network: Any) -> bool:
    """Whether layers of a network are quantised; it needs no TF-MOT."""
    layers = leaves(network) if hasattr(network, "layers") else []
    return any(hasattr(layer, "quantize_config") for layer in layers)
