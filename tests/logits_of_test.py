"""Heads that are cut off: the same probabilities, and what has no head."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

layers = keras.layers
X = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)


def stack(*heads):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, "relu"), *heads]
    )


def functional(head):
    keras.utils.set_random_seed(0)
    x = keras.Input((5,))
    return keras.Model(x, head(layers.Dense(8, "relu")(x)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: stack(layers.Dense(3, "softmax")),
        lambda: stack(layers.Dense(3), layers.Softmax()),
        lambda: stack(layers.Dense(3), layers.Activation("softmax")),
        lambda: functional(layers.Dense(3, "softmax")),
    ],
)
def test_of_a_softmax_the_logits_are_left(make):
    model = make()
    logits = tfr.logits_of(model)
    np.testing.assert_allclose(tf.nn.softmax(logits(X)), model(X), atol=1e-6)
    assert not np.allclose(np.sum(logits(X), axis=1), 1)
    y = np.argmax(model(X), axis=1)
    linf = tfr.threats.Linf(0.01)
    assert tfr.verifiers.CROWN(linf).margins(logits, X, y).shape == (6, 3)
    robust = tfr.RobustModel(logits)
    robust.compile("sgd", objective=tfr.objectives.Clean())
    robust.fit(X, y, verbose=0)


@pytest.mark.parametrize("heads", [1, 2])
def test_of_one_sigmoid_two_logits_are_made(heads):
    parts = [layers.Dense(1), layers.Activation("sigmoid")]
    parts = parts if heads == 2 else [layers.Dense(1, "sigmoid")]
    model = stack(*parts)
    logits = tfr.logits_of(model)
    assert logits(X).shape == (6, 2)
    positive = tf.nn.softmax(logits(X))[:, 1:]
    np.testing.assert_allclose(positive, model(X), atol=1e-6)
    assert len(logits.trainable_weights) == len(model.trainable_weights)
    y = np.arange(6) % 2
    binary = keras.losses.binary_crossentropy(y[:, np.newaxis], model(X))
    entropy = tfr.losses.cross_entropy(y, logits(X))
    np.testing.assert_allclose(entropy, binary, rtol=1e-4)


def test_of_several_sigmoids_as_many_logits_are_left():
    model = stack(layers.Dense(3, "sigmoid"))
    logits = tfr.logits_of(model)
    np.testing.assert_allclose(tf.sigmoid(logits(X)), model(X), atol=1e-6)


def test_layers_are_shared_but_the_last():
    model = stack(layers.Dense(3, "softmax"))
    logits = tfr.logits_of(model)
    kernel, *_ = model.layers[0].get_weights()
    model.layers[0].set_weights([2 * kernel, np.zeros(8)])
    np.testing.assert_array_equal(logits.get_weights()[0], 2 * kernel)
    assert model.layers[-1].activation is keras.activations.softmax


def test_it_is_saved_and_loaded(tmp_path):
    logits = tfr.logits_of(stack(layers.Dense(1, "sigmoid")))
    logits.save(tmp_path / "logits.keras")
    loaded = keras.models.load_model(tmp_path / "logits.keras")
    np.testing.assert_allclose(loaded(X), logits(X), rtol=1e-6)


def test_models_of_keras_applications_are_taken():
    model = keras.applications.MobileNetV3Small(
        (32, 32, 3), alpha=0.35, weights=None, classes=4, minimalistic=True
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    images = images.astype(np.float32)
    found = tf.nn.softmax(tfr.logits_of(model)(images))
    np.testing.assert_allclose(found, model(images), atol=1e-5)


class Own(keras.Model):
    """A model whose last layer nobody knows."""

    def __init__(self):
        super().__init__()
        self.head = layers.Dense(3, "softmax")

    def call(self, inputs):
        return self.head(inputs)


def test_what_has_no_head_to_cut_off_is_refused():
    for model, error, message in (
        (stack(layers.Dense(3)), ValueError, "must end in a softmax, a"),
        (stack(layers.Dense(3, "tanh")), ValueError, "must end in a softmax"),
        (stack(layers.Softmax(axis=0)), ValueError, "answers differ"),
        (Own(), TypeError, "functional or Sequential"),
        (lambda x: x, TypeError, "must be a Keras model"),
    ):
        with pytest.raises(error, match=message):
            tfr.logits_of(model)


def test_who_wraps_a_softmax_is_told_of_it():
    with pytest.raises(ValueError, match=r"pass tfr\.logits_of\(network\)"):
        tfr.RobustModel(stack(layers.Dense(3, "softmax")))
