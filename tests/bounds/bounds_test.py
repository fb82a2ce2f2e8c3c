"""Bounds of single values come in chunks, which change nothing."""

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import NETWORKS, block
from tfrobust import threats, verifiers
from tfrobust.backend import keras
from tfrobust.bounds import bounds
from tfrobust.verifiers import bounding


@pytest.mark.one_keras  # See `verifiers/ops_test.py`.
@pytest.mark.parametrize(
    ("threat", "compiled"),
    [(threats.Linf(0.1), False), (threats.L2(0.5), True)],
    ids=str,
)
def test_chunks_change_neither_bounds_nor_their_gradients(
    threat, compiled, monkeypatch
):
    network = block()
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 1, (4, *network.input_shape[1:])), "float32")
    y = np.array([0, 1, 2, 3])
    verifier = verifiers.CROWN(threat)

    def found():
        with tf.GradientTape() as tape:
            lower = verifier.margins(network, x, y)
            total = tf.reduce_sum(lower)
        return lower, tape.gradient(total, list(network.trainable_variables))

    expected, slopes = found()
    monkeypatch.setattr(bounds, "CHUNK", 1)
    if compiled:
        found = tf.function(found, autograph=False)
    values, gradients = found()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    for gradient, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-4)


def test_only_a_large_batch_gets_a_graph_of_its_own(monkeypatch):
    seen = []

    class Seen(verifiers.CROWN):
        def lower(self, *arguments):
            seen.append(tf.executing_eagerly())
            return super().lower(*arguments)

    network, verifier = NETWORKS["dense"](), Seen(threats.L1(0.3))
    x, y = np.random.default_rng(0).random((3, 5)), np.array([0, 3, 1])
    small = verifier.margins(network, x, y)
    monkeypatch.setattr(bounding, "LARGE", 3 * 9**2 - 1)
    large = verifier.margins(network, x, y)
    np.testing.assert_allclose(large, small, rtol=1e-6, atol=1e-6)
    assert seen == [True, False]


def test_gradients_of_bounds_are_their_slopes():
    """What is worked out outside of the loop over chunks is differentiated."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            keras.layers.Conv2D(2, 3, activation="relu"),
            keras.layers.Conv2D(2, 2, activation="relu"),
            keras.layers.Conv2D(2, 2),
            keras.layers.Flatten(),
        ]
    )
    rng = np.random.default_rng(1)
    x = tf.constant(rng.uniform(0, 1, (2, *network.input_shape[1:])), "float32")
    verifier = verifiers.CROWN(threats.Linf(0.05))
    weights = network.trainable_variables
    start = [w.numpy() for w in weights]
    directions = [rng.normal(size=w.shape).astype("float32") for w in weights]

    @tf.function(autograph=False)
    def margins():
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(verifier.margins(network, x, [0, 1]))
        return total, tape.gradient(total, weights)

    def moved(length):
        for w, at, direction in zip(weights, start, directions, strict=True):
            w.assign(at + length * direction)
        return margins()[0].numpy()

    gradients = margins()[1]
    expected = sum(
        np.sum(gradient * direction)
        for gradient, direction in zip(gradients, directions, strict=True)
    )
    slope = (moved(3e-4) - moved(-3e-4)) / 6e-4
    np.testing.assert_allclose(slope, expected, rtol=1e-2)


def test_a_network_that_returns_its_input_is_bounded():
    x = np.array([[0.2, 0.7]], np.float32)
    crown = verifiers.CROWN(threats.Linf(0.1))
    margins = crown.margins(lambda x, training=False: tf.identity(x), x, [1])
    assert 0.29 < margins[0, 0] <= 0.3
