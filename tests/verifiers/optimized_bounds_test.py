"""Bounds of what activations read: sound, and tighter than CROWN's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import (
    NETWORKS,
    VECTOR,
    chain,
    randomize,
)
from tfrobust import threats
from tfrobust.backend import keras
from tfrobust.bounds import Bounds
from tfrobust.graph import Trace
from tfrobust.verifiers import CROWN, AlphaCROWN
from tfrobust.verifiers.optimized_bounds import OptimizedBounds

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

LINF, NOTHING = threats.Linf(0.2), threats.Linf(0.0)


def deep():
    layers = [keras.layers.Dense(8, activation="relu") for _ in range(4)]
    return chain(VECTOR, *layers)


@pytest.mark.parametrize(
    ("name", "threat", "intersect"),
    [
        ("deep", LINF, True),
        ("deep", threats.L2(0.6), False),
        ("strides that differ", threats.L1(0.9), True),
        ("shifted shortcut", LINF, True),
        ("overlapping max pooling", threats.Linf(0.05), True),
        ("minimum", LINF, False),
        ("sigmoid", LINF, True),
    ],
)
def test_intervals_hold_what_is_computed_and_lie_within_those_of_crown(
    name, threat, intersect
):
    network = {"deep": deep, **NETWORKS}[name]()
    rng = np.random.default_rng(3)
    randomize(network, rng)
    x = rng.uniform(0, 1, (2, *network.input_shape[1:])).astype(np.float32)

    @tf.function(autograph=False)
    def compare(x):
        trace = Trace(network, x)
        plain = Bounds(trace, threat, x, intersect=intersect)
        tight = OptimizedBounds(plain, 5, 0.25)
        points = tf.concat([threat.sample(x, s) for s in range(20)], axis=0)
        alone = Bounds(Trace(network, points), NOTHING, points, tighten=False)
        seen = [(low + high) / 2 for low, high in alone.read.values()]
        parts = [plain.read.values(), tight.read.values()]
        return *([(low, high) for low, high in p] for p in parts), seen

    plain, tight, seen = compare(x)
    gain = 0.0
    for (low, high), (lower, upper), values in zip(
        plain, tight, seen, strict=True
    ):
        off = 1e-5 * (1 + np.max(np.abs([low, high])))
        assert np.all(lower >= low - off) and np.all(upper <= high + off)
        gain += np.sum(high - low) - np.sum(upper - lower)
        values = np.reshape(values, (20, *lower.shape))
        assert np.all((lower - off <= values) & (values <= upper + off))
    assert gain > 1e-3


def test_a_value_that_crown_leaves_open_is_found_to_be_closed():
    # relu(a) + relu(-a) + 0.1 for a in [-1, 2], which is at least 0.1. CROWN
    # takes the slopes 1 and 0 and finds a + 0.1; slopes that agree find 0.1.
    first = keras.layers.Dense(2, activation="relu")
    second = keras.layers.Dense(2, activation="relu")
    network = chain((1,), first, second)
    first.set_weights([np.array([[3.0, -3.0]]), np.array([-1.0, 1.0])])
    second.set_weights(
        [np.array([[1.0, -1.0], [1.0, 0.0]]), np.array([0.1, 0])]
    )
    x = np.array([[0.5]], np.float32)
    plain = Bounds(Trace(network, x), threats.Linf(0.5), x, intersect=False)
    tight = OptimizedBounds(plain, 20, 0.25)
    lower = [[*bounds.read.values()][1][0] for bounds in (plain, tight)]
    assert lower[0].numpy()[0, 0] < -0.85
    assert lower[1].numpy()[0, 0] == pytest.approx(0.1, abs=0.01)


def test_deep_networks_gain_and_without_it_bounds_are_those_of_crown():
    network, threat = deep(), threats.Linf(0.5)
    rng = np.random.default_rng(0)
    randomize(network, rng)
    x = rng.uniform(0, 1, (3, *VECTOR)).astype(np.float32)
    y = np.argmax(network(x), axis=1)
    means = [
        np.mean(verifier.margins(network, x, y))
        for verifier in (
            CROWN(threat),
            AlphaCROWN(threat, intermediate=False),
            AlphaCROWN(threat),
        )
    ]
    assert means[0] < means[1] < means[2]
    gains = np.diff(means)
    assert gains[1] > 0.02
    trace = Trace(network, x)
    fixed = AlphaCROWN(threat, intermediate=False).bounds(trace, x)
    for ours, theirs in zip(
        fixed.read.values(), Bounds(trace, threat, x).read.values(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_optimised_where_nothing_is_open():
    network = deep()
    randomize(network, np.random.default_rng(0))
    x = np.full((2, *VECTOR), 0.5, np.float32)
    plain = Bounds(Trace(network, x), threats.Linf(1e-6), x)
    tight = OptimizedBounds(plain, 5, 0.25)
    for ours, theirs in zip(
        tight.read.values(), plain.read.values(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
