"""Directions in the space of weights."""

from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.analysis.risk import Risk, joined
from tfrobust.backend import keras, raw
from tfrobust.layers import SparseBinaryDepthwiseConv2D

_NAMES = ("random", "filter")
_UNITS: dict[tuple, tuple] = {
    (
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    ): (-2,),
    (
        keras.layers.DepthwiseConv1D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv1D,
        keras.layers.SeparableConv2D,
        SparseBinaryDepthwiseConv2D,
    ): (-2, -1),
}


def direction(
    given: Any, risk: Risk, random: np.random.Generator
) -> np.ndarray:
    """Returns a direction as a flat vector, shape `[weights]`.

    Args:
        given: `"random"`, a unit vector of any direction; `"filter"`, where
            what leads to each output unit has the norm of its weights, and
            biases and normalisation are 0; or a flat vector.
        risk: What the weights belong to.
        random: The generator of the first two.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(given, str):
        expected = f"be {' or '.join(map(repr, _NAMES))}, or vectors"
        checks.argument(given in _NAMES, "directions", expected, given)
        drawn = random.standard_normal(risk.size)
        if given == "filter":
            return _by_filter(risk, drawn)
        return drawn / np.linalg.norm(drawn)
    vector = np.asarray(given, np.float64)
    expected = f"be flat vectors of {risk.size} numbers, one for each weight"
    fine = vector.shape == (risk.size,)
    checks.argument(fine, "directions", expected, vector)
    return vector


def _by_filter(risk, drawn):
    """Scales what leads to each unit to the norm of its weights."""
    units = _axes_of_units(risk.network)
    parts = []
    for variable, part in zip(risk.variables, risk.split(drawn), strict=True):
        weight = np.array(variable, np.float64)
        if weight.ndim < 2:
            parts.append(0 * weight)
            continue
        kept = units.get(id(variable), (-1,))
        axes = {*range(weight.ndim)} - {weight.ndim + axis for axis in kept}
        sizes, lengths = (
            np.sqrt(np.sum(w**2, axis=tuple(axes), keepdims=True))
            for w in (weight, part)
        )
        parts.append(part * sizes / lengths)
    vector = joined(parts)
    if not np.any(vector):
        raise ValueError(
            '`directions` can\'t be "filter" of a model without weights of '
            f"two or more axes that aren't 0. Received: {risk.network.name!r}. "
            'Use "random".'
        )
    return vector


def _axes_of_units(network):
    """The axes that count output units, where they aren't the last one."""
    found = {}
    for layer in network._flatten_layers():
        for kinds, axes in _UNITS.items():
            if isinstance(layer, kinds):
                # The kernel comes first.
                for kernel in layer.trainable_variables[:1]:
                    found[id(raw(kernel))] = axes
    return found
