"""The larger and the smaller of pairs."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.layers import MinMax

layers = keras.layers


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3),
            MinMax(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def test_each_pair_is_sorted_the_larger_first():
    x = tf.constant([[1.0, 5.0, 3.0, 4.0], [0.0, -2.0, 0.0, -1.0]])
    expected = [[3.0, 5.0, 1.0, 4.0], [0.0, -1.0, 0.0, -2.0]]
    np.testing.assert_array_equal(MinMax()(x), expected)


def test_it_keeps_the_length_of_every_gradient():
    rng = np.random.default_rng(0)
    x, gradient = (
        tf.constant(rng.normal(size=(2, 3, 8)), tf.float32) for _ in "xg"
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = MinMax()(x)
    found = tape.gradient(y, x, output_gradients=gradient)
    np.testing.assert_allclose(
        np.sort(found, axis=None), np.sort(gradient, axis=None)
    )


def test_it_is_saved_loaded_and_exported(tmp_path):
    model = network()
    x = np.random.default_rng(0).uniform(size=(4, 6, 6, 1)).astype("float32")
    model.save(tmp_path / "network.keras")
    copy = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(copy(x), model(x))
    folder = tfr.export(model, tmp_path / "served")
    served = tf.saved_model.load(str(folder)).signatures
    found = served["serving_default"](image=tf.constant(x))["logits"]
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_an_odd_number_of_features_is_refused():
    for shape in [(2, 3), (2, 4, 1)]:
        with pytest.raises(ValueError, match="even number of features"):
            MinMax()(tf.zeros(shape))


def test_every_verifier_bounds_it_and_gloro_trains_it():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(30, 6, 6, 1)).astype("float32")
    y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
    threat = tfr.threats.L2(0.1)
    model = tfr.RobustModel(network())
    model.compile(
        keras.optimizers.Adam(0.01), objective=tfr.objectives.GloRo(threat)
    )
    history = model.fit(x, y, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    lipschitz, crown, ibp = (
        np.asarray(verifier(threat).margins(model.network, x, y))
        for verifier in (
            tfr.verifiers.Lipschitz,
            tfr.verifiers.CROWN,
            tfr.verifiers.IBP,
        )
    )
    logits = np.asarray(model.network(x))
    true = logits[np.arange(30), y][:, np.newaxis] - logits
    for found in (lipschitz, crown, ibp):
        assert np.all(found <= true)
    assert np.mean(crown) > np.mean(ibp)
