"""The graph of a functional model, read from its configuration."""

from collections.abc import Callable
from typing import Any


def replay(model: Any, layers: dict[str, Callable], inputs: Any) -> Any:
    """Calls other layers on other inputs as a functional model calls its own.

    Args:
        model: A functional model of either Keras, with one input and output.
        layers: The layers to call instead, by name.
        inputs: The symbolic tensor to begin with.

    Returns:
        The symbolic outputs.

    Raises:
        NotImplementedError: If a layer is called with several tensors that
            are no list, such as attention.
    """
    config = model.get_config()
    (output,) = _references(config["output_layers"])
    (source,) = _references(config["input_layers"])
    values, waiting = {source: inputs}, list(_calls(config))
    while waiting:
        name, count, given = next(
            call
            for call in waiting
            if all(ref in values for ref in _references(call[2]))
        )
        waiting.remove((name, count, given))
        values[name, count] = layers[name](_filled(given, values))
    return values[output]


def _calls(config):
    """Yields the name of a layer, which of its calls it is, and its inputs."""
    for layer in config["layers"]:
        nested = layer["class_name"] in ("Functional", "Model", "Sequential")
        for count, node in enumerate(layer["inbound_nodes"]):
            if _has_more_tensors(node):
                raise NotImplementedError(
                    "Layers must be called with one tensor or one list of "
                    f"tensors. Received a call of {layer['name']!r} with more."
                )
            if isinstance(node, dict):  # Keras 3.
                yield layer["name"], count, node["args"][0]
            else:
                # tf_keras counts how a model was made as its first call.
                single = len(node) == 1 and isinstance(node[0][0], str)
                given = node[0] if single else node
                yield layer["name"], count + nested, given


def _has_more_tensors(node):
    """Whether a call has tensors behind its first argument."""
    if isinstance(node, dict):
        values = [*node["args"][1:], *node["kwargs"].values()]
        return any(isinstance(value, (dict, list)) for value in values)
    calls = [node] if isinstance(node[0], str) else node
    return any(isinstance(v, list) for call in calls for v in call[3].values())


def _references(given):
    """All tensors in a nest: the layer's name and which of its calls."""
    if isinstance(given, dict):
        given = given["config"]["keras_history"]
    if given and isinstance(given[0], str):
        return [(given[0], given[1])]
    return [ref for part in given for ref in _references(part)]


def _filled(given, values):
    """The nest with symbolic tensors in the place of references."""
    if isinstance(given, dict) or isinstance(given[0], str):
        (reference,) = _references(given)
        return values[reference]
    return [_filled(part, values) for part in given]
