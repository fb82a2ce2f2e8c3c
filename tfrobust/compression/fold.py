"""From a network with batch normalisation to one with fewer layers."""

import numpy as np

from tfrobust.backend import keras
from tfrobust.compression.cloning import anew
from tfrobust.compression.comparison import compare
from tfrobust.compression.rebuilding import TOLERANCE, prepared, rebuilt, run

layers = keras.layers
_HOSTS = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)


def fold(model: keras.Model) -> keras.Model:
    """Returns the same network with normalisation folded into kernels.

    BatchNormalization in inference form, `scale * x + offset`, becomes a part
    of the Conv2D, DepthwiseConv2D or Dense before it, if that has no
    activation and nothing else reads it. Signs become signs times one
    magnitude for each output channel. Outputs are equal but for roundings.
    Other normalisation stays. The result is not to be trained: what is folded
    follows no statistics.

    Args:
        model: A functional or Sequential model with one input, or a
            `RobustModel` of one (its averaged weights, if it has any). Sparse
            and binary layers become plain ones.

    Raises:
        NotImplementedError: If operations in it are no layers; all are listed.
        ValueError: If the model isn't as described.

    Example:
        `folded = tfr.compression.fold(network)`
    """
    model = prepared(model)
    hosts = _hosts(model)
    new, weights = {layer.name: anew(layer) for layer in model.layers}, {}
    for name, host in hosts.items():
        config = {**host.get_config(), "use_bias": True}
        new[host.name] = type(host).from_config(config)
        weights[host.name] = _folded(host, model.get_layer(name))
        new[name] = _same
    copy = rebuilt(model, new, weights)
    compare(model, copy, TOLERANCE)
    return copy


def _hosts(model):
    """The layer that each normalisation folds into, by its name."""
    calls = []  # Each layer, and what made its inputs.

    def recorder(layer):
        def call(given):
            calls.append((layer, given if isinstance(given, list) else [given]))
            return layer

        return call

    recorders = {layer.name: recorder(layer) for layer in model.layers}
    output = run(model, recorders, None)
    called = [layer for layer, _ in calls]
    read = [source for _, given in calls for source in given] + [output]
    return {
        layer.name: given[0]
        for layer, given in calls
        if type(layer) is layers.BatchNormalization
        and called.count(layer) == called.count(given[0]) == 1
        and read.count(given[0]) == 1
        and _fits(given[0], layer)
    }


def _fits(host, normalization):
    last = normalization.input_spec.ndim - 1
    return (
        type(host) in _HOSTS
        and host.activation is keras.activations.linear
        and getattr(host, "data_format", None) != "channels_first"
        and list(np.ravel(normalization.axis)) in ([-1], [last])
    )


def _folded(host, normalization):
    """The kernel and the bias that do the work of both."""
    kernel, *bias = host.get_weights()
    variance = np.asarray(normalization.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale *= np.asarray(normalization.gamma)
    mean = np.asarray(normalization.moving_mean)
    offset = ((bias[0] if bias else 0.0) - mean) * scale
    if normalization.center:
        offset += np.asarray(normalization.beta)
    if type(host) is layers.DepthwiseConv2D:
        # Its outputs are the last two axes of the kernel.
        return [kernel * scale.reshape(kernel.shape[-2:]), offset]
    return [kernel * scale, offset]


def _same(inputs):
    return inputs
