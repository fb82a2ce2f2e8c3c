"""Layers of one Keras like those of the other."""

import inspect
from types import ModuleType
from typing import Any

# They hold code or layers, or their weights have other shapes.
_CLOSED = {
    "Bidirectional",
    "Lambda",
    "MultiHeadAttention",
    "RNN",
    "SpectralNormalization",
    "TimeDistributed",
}
_RENAMED = {
    "keras": {"alpha": "negative_slope"},
    "tf_keras": {"negative_slope": "alpha"},
}


def refused(model: Any, source: ModuleType, target: ModuleType) -> list[str]:
    """Names everything in the model of `source` without a counterpart."""
    found = []
    for layer in getattr(model, "operations", None) or model.layers:
        name = type(layer).__name__
        if isinstance(layer, source.Model) and _is_chain(layer):
            found += refused(layer, source, target)
        elif name != "InputLayer" and (
            type(layer) is not getattr(source.layers, name, None)
            or not hasattr(target.layers, name)
            or name in _CLOSED
            or not _transferable(layer, target)
        ):
            found.append(f"{layer.name} ({name})")
    return found


def _is_chain(model):
    """Whether a model is functional, from one input to one output."""
    ends = getattr(model, "inputs", None), getattr(model, "outputs", None)
    return all(len(end or []) == 1 for end in ends)


def _transferable(layer, target):
    """Whether the other Keras understands how the layer is configured."""
    try:
        counterpart(layer, target)
    except (KeyError, TypeError, ValueError):
        return False
    return True


def counterpart(layer: Any, target: ModuleType) -> Any:
    """A new layer of `target` like `layer`, without its weights."""
    name, config = type(layer).__name__, dict(layer.get_config())
    kind = getattr(target.layers, name)
    if name == "LeakyReLU":
        renamed = _RENAMED[target.__name__]
        config = {renamed.get(key, key): v for key, v in config.items()}
    if name == "BatchNormalization" and isinstance(config["axis"], list):
        (config["axis"],) = config["axis"]
    # The two describe a policy of precision differently.
    config["dtype"] = layer.dtype_policy.name
    known = _arguments(kind)
    return kind.from_config(
        {
            key: value
            for key, value in config.items()
            # Weights are copied, so nobody asks how they would begin.
            if key in known and not key.endswith("initializer")
        }
    )


def _arguments(kind):
    """The names of everything that a layer's constructor takes."""
    names = {"name", "trainable", "dtype"}
    for base in kind.__mro__[:-1]:
        names |= set(inspect.signature(base.__init__).parameters)
    return names
