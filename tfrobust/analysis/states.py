"""Whole states of a network, as `get_weights` gives them."""

from collections.abc import Callable, Sequence

import numpy as np

from tfrobust import checks
from tfrobust.analysis.risk import Risk
from tfrobust.backend import keras, raw
from tfrobust.callbacks import ReestimateBatchNorm


def trainable_of(
    risk: Risk, state: Sequence[np.ndarray], name: str
) -> list[np.ndarray]:
    """The trainable part of a state, in the order of the risk's.

    Args:
        risk: What the weights belong to.
        state: A list of weights, as `get_weights` gives them.
        name: What to call it.

    Raises:
        ValueError: If it is of other shapes.
    """
    variables = risk.network.weights
    shapes = [np.shape(part) for part in state]
    fine = shapes == [tuple(v.shape) for v in variables]
    expected = "be of the shapes that model.get_weights() has"
    checks.argument(fine, name, expected, f"{shapes}")
    places = {id(raw(v)): i for i, v in enumerate(variables)}
    return [np.array(state[places[id(v)]]) for v in risk.variables]


def check_alike(
    risk: Risk, one: Sequence[np.ndarray], other: Sequence[np.ndarray]
) -> None:
    """Refuses states that differ in weights that nobody trains.

    Statistics of batch normalisation may.
    """
    free = {id(v) for v in risk.variables}
    for layer in risk.network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            moving = layer.moving_mean, layer.moving_variance
            free |= {id(raw(v)) for v in moving}
    for v, first, second in zip(risk.network.weights, one, other, strict=True):
        if id(raw(v)) not in free and not np.array_equal(first, second):
            raise ValueError(
                "`ends` must agree in weights that aren't trained, such as "
                f"masks. Received two values of {v.name!r}. Train both ends "
                "from one of them."
            )


def reestimation(risk: Risk) -> Callable[[], None] | None:
    """What estimates the statistics of the weights of now, if there are any.

    On the data of the risk; with an attack then on what it finds under those,
    so that the weights of before don't matter.
    """
    normalised = any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for layer in risk.network._flatten_layers()
    )
    if not normalised:
        return None
    estimators = [
        ReestimateBatchNorm(risk.data, attack, risk.batch_size)
        for attack in ([None, risk.attack] if risk.attack else [None])
    ]

    def estimate():
        for estimator in estimators:
            estimator.reestimate(risk.network)

    return estimate
