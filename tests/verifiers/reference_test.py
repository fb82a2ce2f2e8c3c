"""Bounds of dense networks against a reference in NumPy and float64."""

import numpy as np
import pytest

from tfrobust import threats, verifiers
from tfrobust.backend import keras

BATCH, FEATURES, CLASSES = 5, 7, 4
DUAL = {"Linf": 1, "L2": 2, "L1": np.inf}
# Wide enough for the range never to bind: then the dual norm says it all.
LOW, HIGH = -9.0, 10.0


def network(widths=(12, 9, 8)):
    return keras.Sequential(
        [keras.Input((FEATURES,))]
        + [keras.layers.Dense(width, "relu") for width in widths]
        + [keras.layers.Dense(CLASSES)]
    )


def randomize(model, rng):
    for variable in model.variables:
        scale = 1.5 / np.sqrt(variable.shape[0])
        variable.assign(scale * rng.normal(size=variable.shape))


def lowest(a, x, epsilon, order):
    return a @ x - epsilon * np.linalg.norm(a, DUAL[order], axis=1)


def lines(lower, upper, parallel):
    """Slope below, slope and intercept above."""
    chord = np.where(lower >= 0, 1.0, 0.0)
    opened = (lower < 0) & (upper > 0)
    chord[opened] = upper[opened] / (upper - lower)[opened]
    below = np.where(opened, 1.0 * (upper > -lower), chord)
    above = np.where(opened, -lower * chord, 0.0)
    return (chord if parallel else below), chord, above


def backward(a, b, layers, known, x, epsilon, order, parallel):
    """Lower bounds of `a z + b`, where z is what the last of `layers` gives."""
    for (kernel, bias), (lower, upper) in zip(
        layers[::-1], known[::-1], strict=True
    ):
        below, chord, above = lines(lower, upper, parallel)
        b = b + np.minimum(a, 0) @ above
        a = np.maximum(a, 0) * below + np.minimum(a, 0) * chord
        b = b + a @ bias
        a = a @ kernel.T
    return lowest(a, x, epsilon, order) + b


def crown(weights, x, y, epsilon, order, parallel=False, interval=False):
    """Margins by CROWN, by Fast-Lin, or with intervals alone inside."""
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    known, box = [], None
    for k, (kernel, bias) in enumerate(layers[:-1]):
        problem = layers[:k], known, x, epsilon, order, parallel
        low = backward(kernel.T, bias, *problem)
        high = -backward(-kernel.T, -bias, *problem)
        if box is not None:
            middle = sum(box) / 2 @ kernel + bias
            spread = (box[1] - box[0]) / 2 @ np.abs(kernel)
            rough = middle - spread, middle + spread
            # Where intervals settle the sign, nothing tighter is computed.
            settled = interval | (rough[0] >= 0) | (rough[1] <= 0)
            low = np.where(settled, rough[0], np.maximum(low, rough[0]))
            high = np.where(settled, rough[1], np.minimum(high, rough[1]))
        known.append((low, high))
        box = np.maximum(low, 0), np.maximum(high, 0)
    kernel, bias = layers[-1]
    a = (kernel[:, [y]] - kernel).T
    b = bias[y] - bias
    return backward(a, b, layers[:-1], known, x, epsilon, order, parallel)


CASES = {
    "CROWN": {},
    "FastLin": {"parallel": True},
    "CROWNIBP": {"interval": True},
}


def test_lines_are_never_looser_than_intervals():
    rng, model = np.random.default_rng(0), network()
    randomize(model, rng)
    x = rng.uniform(0.2, 0.8, size=(64, FEATURES)).astype(np.float32)
    y, threat = np.argmax(model(x), axis=1), threats.Linf(0.15)
    intervals = verifiers.IBP(threat).margins(model, x, y).numpy()
    alone = verifiers.CROWN(threat, intersect=False).margins(model, x, y)
    assert np.any(alone < intervals)
    for tighter in (verifiers.FastLin, verifiers.CROWN, verifiers.AlphaCROWN):
        lines = tighter(threat).margins(model, x, y).numpy()
        assert np.all(lines >= intervals), tighter


@pytest.mark.parametrize("order", list(DUAL))
@pytest.mark.parametrize("name", list(CASES))
def test_margins_are_those_of_the_reference_less_rounding(name, order):
    rng, model = np.random.default_rng(4), network()
    verifier = getattr(verifiers, name)
    for epsilon in (0.02, 0.2):
        randomize(model, rng)
        weights = [np.asarray(v, np.float64) for v in model.get_weights()]
        x = rng.random((BATCH, FEATURES)).astype(np.float32)
        y = rng.integers(0, CLASSES, BATCH)
        threat = getattr(threats, order)(epsilon, LOW, HIGH)
        found = verifier(threat).margins(model, x, y).numpy()
        for k in range(BATCH):
            expected = crown(
                weights, x[k].astype(float), y[k], epsilon, order, **CASES[name]
            )
            others = np.arange(CLASSES) != y[k]
            gap = (expected - found[k])[others]
            assert found[k, y[k]] == 0
            # What is taken off for rounding exceeds it, but not by far.
            assert np.all(gap > 0)
            assert np.all(gap < 1e-4 * (1 + np.max(np.abs(expected))))
