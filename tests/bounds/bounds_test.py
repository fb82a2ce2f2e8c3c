"""Bounds of single values come in chunks, which change nothing."""

import collections

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


def gates(whole):
    """A cell of an LSTM: its gates are parts of one value, or alone."""

    def network(x, training=False):
        if whole:
            i, g, o = tf.split(x @ kernel, 3, axis=1)
        else:
            i, g, o = (x @ part for part in tf.split(kernel, 3, axis=1))
        hidden = tf.sigmoid(o) * tf.tanh(tf.sigmoid(i) * tf.tanh(g))
        return tf.tanh(hidden @ last) @ last

    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(4, 12)), tf.float32)
    last = tf.constant(rng.normal(size=(4, 4)), tf.float32)
    return network


@pytest.mark.keras_free
@pytest.mark.parametrize("threat", [threats.Linf(0.1), threats.L2(0.3)])
@pytest.mark.parametrize("intersect", [True, False])
def test_parts_are_bounded_at_once_and_what_an_activation_returns_never(
    threat, intersect, monkeypatch
):
    tightened = bounds.Bounds._tightened
    seen = []

    def recorded(self, node, consumers):
        seen.append((node.type, len(consumers)))
        return tightened(self, node, consumers)

    monkeypatch.setattr(bounds.Bounds, "_tightened", recorded)
    x, y = np.random.default_rng(1).uniform(0.2, 0.8, (3, 4)), np.arange(3)
    verifier = verifiers.CROWN(threat, intersect=intersect)
    whole = verifier.margins(gates(True), x, y)
    products = [("Product", 1), ("MatMul", 1)]
    first = [] if threat.is_box else [("MatMul", 3)]
    assert seen == first + products
    seen.clear()
    alone = verifier.margins(gates(False), x, y)
    first = [] if threat.is_box else [("MatMul", 1)] * 3
    assert seen == first + products
    np.testing.assert_allclose(whole, alone, rtol=1e-4)
    assert np.all(np.isfinite(whole))


@pytest.mark.keras_free
def test_a_curve_is_one_function_of_a_graph_with_the_same_lines():
    network = gates(True)
    x, y = np.random.default_rng(1).uniform(0.2, 0.8, (3, 4)), np.arange(3)
    verifier = verifiers.CROWN(threats.L2(0.3))

    @tf.function(autograph=False)
    def margins(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = verifier.margins(network, x, y)
        return found, tape.gradient(found, x)

    x = tf.constant(x, tf.float32)
    found, slopes = margins(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        expected = verifier.margins(network, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        slopes, tape.gradient(expected, x), rtol=1e-3, atol=1e-4
    )


@pytest.mark.keras_free
def test_activations_of_one_shape_share_their_lines():
    @tf.function(autograph=False)
    def margins(x):
        verifier = verifiers.CROWN(threats.L2(0.3))
        return verifier.margins(gates(True), x, np.arange(3))

    found = margins.get_concrete_function(tf.TensorSpec([3, 4]))
    calls = collections.Counter(
        op.get_attr("f").name
        for op in found.graph.get_operations()
        if "PartitionedCall" in op.type
    )
    assert sorted(calls.values()) == [2, 3]
