"""BinaryConnect: signs of real weights, which the gradient does not notice."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.layers import BinaryDense

X = np.array([[1.0, 2.0, 4.0]], np.float32)
WEIGHT = np.array([[0.3, -0.9], [-0.1, 0.0], [0.5, 1.0]], np.float32)


def by_hand(**options):
    layer = BinaryDense(2, **options)
    layer.build((None, 3))
    layer.set_weights([WEIGHT])
    return layer


@pytest.mark.parametrize("stochastic", [False, True])
def test_inference_takes_the_sign(stochastic):
    layer = by_hand(stochastic=stochastic)
    kernel = np.array([[1, -1], [-1, 1], [1, 1]])
    np.testing.assert_array_equal(layer.kernel, kernel)
    np.testing.assert_array_equal(layer(X, training=False), X @ kernel)


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_gradient_passes_the_sign(stochastic):
    layer = by_hand(stochastic=stochastic)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X, training=True) * [1.0, 3.0])
    (gradient,) = tape.gradient(loss, layer.trainable_variables)
    np.testing.assert_allclose(gradient, X.T * [1.0, 3.0])


def test_a_step_clips_the_weights():
    layer = by_hand()
    model = keras.Sequential([keras.Input((3,)), layer])
    model = tfr.RobustModel(model)
    model.compile(keras.optimizers.SGD(100.0))
    model.fit(X, np.array([0]), verbose=0)
    error = np.exp(X @ np.sign(WEIGHT + 1e-9))
    error = error / error.sum() - [[1, 0]]
    stepped = np.clip(WEIGHT - 100 * X.T @ error, -1, 1)
    np.testing.assert_allclose(layer.get_weights()[0], stepped, atol=1e-5)
    assert set(np.unique(stepped)) == {-1, 1}


def test_a_drawn_sign_is_positive_with_the_probability_of_its_weight():
    weights = np.linspace(-1, 1, 5).astype(np.float32)
    layer = BinaryDense(5, stochastic=True)
    layer.build((None, 4000))
    layer.set_weights([np.tile(weights, (4000, 1))])
    rows = np.eye(4000, dtype=np.float32)
    drawn = layer(rows, training=True).numpy()
    assert set(np.unique(drawn)) == {-1, 1}
    share = np.mean(drawn > 0, axis=0)
    np.testing.assert_allclose(share, (weights + 1) / 2, atol=0.03)


def test_draws_last_as_long_as_the_weights_stand_still():
    layer, rows = BinaryDense(50, stochastic=True), np.eye(9, dtype=np.float32)
    first = layer(rows, training=True).numpy()
    np.testing.assert_array_equal(layer(rows, training=True), first)
    layer.set_weights([0.999 * layer.get_weights()[0]])
    assert np.mean(layer(rows, training=True) != first) > 0.2
