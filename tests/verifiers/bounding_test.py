"""The bounds of every activation, from the trace that gives the margins."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats, verifiers
from tfrobust.backend import keras

layers = keras.layers
LINF, L2 = threats.Linf(0.1), threats.L2(0.4)
VERIFIERS = [
    verifiers.IBP(LINF),
    verifiers.CROWNIBP(L2),
    verifiers.CROWN(LINF),
    verifiers.CROWN(L2, intersect=False),
    verifiers.FastLin(LINF),
    verifiers.AlphaCROWN(L2, steps=2),
    verifiers.PolyhedralEnvelope(LINF, parallel=True),
]


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, 2),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(5),
            layers.Activation("tanh"),
            layers.Dense(3),
        ]
    )


def drawn():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 1, (2, 6, 6, 1)), tf.float32)
    return x, np.array([0, 2])


@pytest.mark.parametrize("verifier", VERIFIERS, ids=repr)
def test_no_point_leaves_the_bounds_of_an_activation(network, verifier):
    x, y = drawn()
    calls = []

    def counted(x, training):
        calls.append(1)
        return network(x, training=training)

    def use(bounds, specification):
        returned = [bounds.intervals[node] for node in bounds.read]
        margins = verifier.lower(bounds, specification)
        return list(bounds.read.values()), returned, margins

    read, returned, margins = verifier.traced(counted, x, y, use)
    assert len(calls) == 1
    expected = np.array(verifier.margins(network, x, y))
    others = np.arange(3) != y[:, np.newaxis]
    np.testing.assert_array_equal(np.array(margins)[others], expected[others])
    kinds = layers.ReLU, layers.Activation
    found = [layer for layer in network.layers if isinstance(layer, kinds)]
    assert len(found) == len(read) == len(returned) == 2
    for layer, *ends in zip(found, read, returned, strict=True):
        values = keras.Model(network.inputs, [layer.input, layer.output])
        for seed in range(20):
            point = verifier.threat.sample(x, seed)
            both = values(point)
            for value, (lower, upper) in zip(both, ends, strict=True):
                assert np.all((lower <= value) & (value <= upper))
        assert np.all(ends[0][1] - ends[0][0] < 4)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_bounds_of_activations_reach_the_weights(
    network, compiled
):
    x, y = drawn()
    verifier = verifiers.CROWN(LINF)

    def use(bounds, specification):
        widths = [
            tf.reduce_mean(upper - lower)
            for lower, upper in bounds.read.values()
        ]
        return verifier.lower(bounds, specification), tf.add_n(widths)

    def slopes():
        with tf.GradientTape() as tape:
            margins, width = verifier.traced(network, x, y, use)
            total = width - tf.reduce_sum(margins)
        return tape.gradient(total, list(network.trainable_variables))

    run = tf.function(slopes, autograph=False) if compiled else slopes
    gradients = run()
    assert all(np.any(np.array(gradient) != 0) for gradient in gradients)
