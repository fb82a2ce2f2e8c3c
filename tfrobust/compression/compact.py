"""From a network with dead channels to one without."""

import numpy as np

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression import channels
from tfrobust.compression.cloning import anew
from tfrobust.compression.comparison import compare
from tfrobust.compression.liveness import Liveness
from tfrobust.compression.rebuilding import TOLERANCE, prepared, rebuilt

layers = keras.layers


def compact(model: keras.Model, reset_means: bool = False) -> keras.Model:
    """Returns the same network without the channels that do nothing.

    A channel goes if nothing reads it, or if it has the same value for every
    input and biases can take that over. At a sum of branches it goes if that
    holds behind the sum, and then on all of them. Outputs are equal but for
    roundings: sums of fewer terms are rounded in another order.

    A value other than 0 stays where a convolution pads with zeros. Channels
    without a kept weight commonly have such values, as the moving means behind
    them are those of the time when they were alive; `reset_means` lets them go.

    Args:
        model: A functional or Sequential model with one input, or a
            `RobustModel` of one (its averaged weights, if it has any). Sparse
            and binary layers become plain ones.
        reset_means: Whether normalisation first forgets the moving means of
            constant channels, which become 0 behind it or its offset, as they
            are in training. That changes the outputs a little.

    Raises:
        NotImplementedError: If operations in it are no layers; all are listed.
        ValueError: If the model isn't as described.

    Example:
        `smaller = tfr.compression.compact(network)`

    Reference: Liu et al., 2022, arXiv 2202.01341, on the channels that die.
    """
    checks.kind(reset_means, bool, "reset_means", "True")
    model = prepared(model)
    if reset_means:
        model = _reset(model)
    liveness = Liveness(model)
    parts = {x.name: _sliced(x, liveness) for x in model.layers}
    copy = rebuilt(
        model,
        {name: layer for name, (layer, _) in parts.items()},
        {name: found for name, (_, found) in parts.items() if found},
    )
    compare(model, copy, TOLERANCE)
    return copy


def _reset(model):
    """A copy whose constant channels are in training and inference alike."""
    means = Liveness(model, reset_means=True).means
    copies = {layer.name: anew(layer) for layer in model.layers}
    copy = rebuilt(model, copies, {})
    compare(model, copy)
    for name, values in means.items():
        copies[name].moving_mean.assign(values)
    return copy


def _sliced(layer, liveness):
    """The layer without the channels that go, and weights if it has others."""
    if layer.name not in liveness.given:  # The input.
        return layer, None
    given, produced = liveness.given[layer.name], liveness.produced[layer.name]
    inputs, outputs = liveness.stays(given), liveness.stays(produced)
    weights = layer.get_weights()
    if not weights or (np.all(inputs) and np.all(outputs)):
        return anew(layer), None
    if type(layer) is layers.BatchNormalization:
        return anew(layer), [weight[inputs] for weight in weights]
    kernel, bias = weights[0], weights[1:]
    if type(layer) is layers.DepthwiseConv2D:
        sliced = [kernel[..., inputs, :], *(b[outputs] for b in bias)]
        return anew(layer), sliced
    config = layer.get_config()
    name = "units" if type(layer) is layers.Dense else "filters"
    config[name] = int(np.count_nonzero(outputs))
    gone = channels.absorbed(layer, np.where(inputs, 0.0, given.values))
    total = np.add(bias[0] if bias else 0.0, gone)[outputs]
    config["use_bias"] = bool(bias) or bool(np.any(total))
    sliced = [kernel[..., inputs, :][..., outputs]]
    if config["use_bias"]:
        sliced.append(total)
    return type(layer).from_config(config), sliced
