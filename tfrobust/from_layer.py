"""A network cut behind a layer, such as an embedding."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras

# Of an axis whose length is left open, to try a model.
_LENGTH = 8
_TOLERANCE = 1e-4


class Cut(NamedTuple):
    """A network in two parts, which share its layers.

    Attributes:
        front: From the inputs to what the layer returns.
        rest: From there to the outputs: what is attacked and bounded.
    """

    front: Any
    rest: Any


def cut(network: Any, name: str) -> Cut:
    """Cuts a network behind a layer; see `RobustModel.from_layer`."""
    if not getattr(network, "outputs", None):
        raise TypeError(
            "`network` must be a functional or Sequential Keras model, built, "
            f"to be cut behind a layer. Received: {network!r}"
        )
    layers = [layer.name for layer in network.layers]
    checks.argument(name in layers, "name", f"be one of {layers}", name)
    tensor = network.get_layer(name).output
    expected = "be a layer before the last, behind which something is left"
    checks.argument(tensor is not network.outputs[0], "name", expected, name)
    front = keras.Model(network.inputs, tensor, name=f"to_{name}")
    try:
        rest = keras.Model(tensor, network.outputs[0], name=f"from_{name}")
        away = _difference(network, front, rest)
    except ValueError:  # Keras says that its graph is disconnected.
        away = np.inf
    expected = "be a layer that all goes through, without a mask"
    shown = f"{name!r}, behind which the answers differ by {away:.2g}"
    checks.argument(bool(away <= _TOLERANCE), "name", expected, shown)
    return Cut(front, rest)


def _difference(network, front, rest):
    """How far the parts together answer from the whole, on random inputs."""
    rng = np.random.default_rng(0)

    def drawn(given):
        shape = (4, *(length or _LENGTH for length in given.shape[1:]))
        if tf.as_dtype(given.dtype).is_integer:
            return tf.constant(rng.integers(0, 2, shape), given.dtype)
        return tf.constant(rng.uniform(size=shape), given.dtype)

    x = [drawn(given) for given in network.inputs]
    x = x[0] if len(x) == 1 else x
    expected = np.asarray(network(x, training=False))
    found = np.asarray(rest(tf.identity(front(x, training=False))))
    return float(np.max(np.abs(found - expected)))
