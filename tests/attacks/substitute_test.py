"""Gradients through what has none: the value stays, the gradient comes."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.attacks import Substitute
from tfrobust.backend import keras

X = np.random.default_rng(0).uniform(size=(8, 5)).astype(np.float32)


@keras.saving.register_keras_serializable("tests")
def quantized(x):
    return tf.round(4 * x) / 4


@keras.saving.register_keras_serializable("tests")
def doubled(x):
    return 2 * x


def gradient(layer):
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return np.asarray(y), tape.gradient(y, x)


@pytest.mark.parametrize(("backward", "slope"), [(None, 1), (doubled, 2)])
def test_the_value_is_the_layers_and_the_gradient_the_stand_ins(
    backward, slope
):
    found, by_input = gradient(Substitute(quantized, backward))
    np.testing.assert_array_equal(found, quantized(X))
    np.testing.assert_array_equal(by_input, np.full(X.shape, slope))


def network(front):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((5,)), front, *layers])


def test_an_attack_gets_through_what_stopped_it():
    hidden = network(keras.layers.Lambda(quantized))
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.4), steps=10)
    y = np.argmax(hidden(X), axis=1)
    with pytest.raises(ValueError, match="No gradient reaches"):
        attack.perturb(hidden, X, y)
    shown = network(Substitute(quantized))
    shown.set_weights(hidden.get_weights())
    np.testing.assert_array_equal(shown(X), hidden(X))
    points = attack.perturb(shown, X, y)
    assert np.mean(np.argmax(hidden(points), axis=1) == y) < 0.8


def test_it_is_saved_and_loaded(tmp_path):
    model = network(Substitute(quantized, doubled))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert loaded.layers[0].backward is doubled


def test_a_keras_layer_is_taken_too():
    layer = keras.layers.Dense(4)
    stand_in = keras.layers.Dense(4, use_bias=False)
    found, by_input = gradient(Substitute(layer, stand_in))
    np.testing.assert_allclose(found, layer(X), rtol=1e-6)
    kernel = np.asarray(stand_in.kernel)
    expected = np.tile(kernel.sum(axis=1), [8, 1])
    np.testing.assert_allclose(by_input, expected, rtol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="`backward` must be a Keras layer"):
        Substitute(tf.round, 3)
    with pytest.raises(ValueError, match="`backward` must return the shape"):
        Substitute(tf.round, lambda x: x[:, :2])(X)
