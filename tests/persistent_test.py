"""Export and what Keras says of a file where tfrobust isn't imported."""

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

X = np.random.default_rng(0).uniform(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3


def fitted(optimizer="adam"):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    model.compile(optimizer, epsilon=0.1)
    model.fit(X, Y, verbose=0)
    return model


def test_a_model_is_exported_right_after_fit(tmp_path):
    model = fitted()
    model.export(str(tmp_path / "exported"))
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(
        served.serve(X), model.predict(X, verbose=0), atol=1e-6
    )


def test_in_training_the_averages_are_exported(tmp_path):
    model = fitted(keras.optimizers.Adam(0.1, use_ema=True))
    model.train_on_batch(X, Y)
    expected = model.predict(X, verbose=0)  # By the averages.
    assert np.abs(expected - model.network(X)).max() > 1e-4
    model.export(str(tmp_path / "exported"))
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(X), expected, atol=1e-6)


def test_a_file_loads_or_says_what_to_import(tmp_path):
    path = str(tmp_path / "model.keras")
    fitted().save(path)
    known = keras.saving.get_custom_objects()
    ours = {name: known[name] for name in [*known] if "tfrobust>" in name}
    for name in ours:
        del known[name]
    try:
        # tf_keras imports the module that the file names.
        assert isinstance(keras.models.load_model(path), tfr.RobustModel)
    except (TypeError, ValueError) as error:
        assert "'load': 'import tfrobust first'" in str(error)[:500]
    finally:
        known.update(ours)
    assert isinstance(keras.models.load_model(path), tfr.RobustModel)


def test_a_file_of_an_older_version_loads():
    config = fitted().get_config()
    del config["load"]
    assert isinstance(tfr.RobustModel.from_config(config), tfr.RobustModel)
