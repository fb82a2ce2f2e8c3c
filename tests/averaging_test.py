"""Averages are for while fitting; then the weights are the weights."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
OTHER = [np.ones((4, 3), "float32"), np.arange(3, dtype="float32")]
BATCHES = {"batch_size": 4, "shuffle": False, "verbose": 0}


def averaging(rate=0.5):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(rate, use_ema=True, ema_momentum=0.9),
        run_eagerly=True,
    )
    return model


def fitted(**options):
    model = averaging()
    model.fit(X, Y, **BATCHES, **options)
    return model


def logits(weights):
    return X @ weights[0] + weights[1]


def assert_gives(model, weights):
    """What predicts, evaluates and is asked for are these weights."""
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    expected = logits(weights)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, atol=1e-5)
    loss = np.mean(tfr.losses.cross_entropy(Y, expected))
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(loss, rel=1e-4)
    with model.averaged():
        np.testing.assert_allclose(model.network(X), expected, atol=1e-5)


def set_all(model, folder):
    model.set_weights(OTHER)


def set_the_network(model, folder):
    model.network.set_weights(OTHER)


def set_a_layer(model, folder):
    model.network.layers[-1].set_weights(OTHER)


def load_another(model, folder):
    other = averaging()
    other.network.set_weights(OTHER)
    other.save_weights(folder / "other.weights.h5")
    model.load_weights(folder / "other.weights.h5")


def load_without_averages(model, folder):
    other = tfr.RobustModel(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )
    other.set_weights(OTHER)
    # Of tf_keras's own formats only the old one does without an optimizer.
    path = folder / ("bare.h5" if backend.LEGACY else "bare.weights.h5")
    other.save_weights(path)
    model.load_weights(path)


def load_into_the_network(model, folder):
    other = averaging()
    other.set_weights(OTHER)
    other.network.save_weights(folder / "network.weights.h5")
    model.network.load_weights(folder / "network.weights.h5")


CHANGES = [
    set_all,
    set_the_network,
    set_a_layer,
    load_another,
    load_without_averages,
    load_into_the_network,
]


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("change", CHANGES)
def test_after_fit_the_weights_are_what_the_user_makes_them(change, tmp_path):
    model = fitted()
    change(model, tmp_path)
    assert_gives(model, OTHER)


def test_so_they_are_once_saved_loaded_and_changed_again(tmp_path):
    path = tmp_path / "model.keras"
    fitted().save(path)
    model = keras.models.load_model(path)
    set_the_network(model, tmp_path)
    model.save(path)
    assert_gives(keras.models.load_model(path), OTHER)


@pytest.mark.parametrize("change", CHANGES[:3])
def test_training_averages_on_from_what_was_set(change, tmp_path):
    model = fitted()
    change(model, tmp_path)
    model.optimizer.learning_rate.assign(0.0)
    model.fit(X, Y, **BATCHES)
    assert_gives(model, OTHER)


@pytest.mark.parametrize("save", ["set", "weights", "model"])
def test_the_best_epoch_is_restored_as_it_was_validated(save, tmp_path):
    path = str(
        tmp_path / ("best.weights.h5" if save == "weights" else "b.keras")
    )
    best = {"monitor": "val_loss", "mode": "max"}  # The first one, that is.
    callback = (
        keras.callbacks.EarlyStopping(
            patience=2, restore_best_weights=True, **best
        )
        if save == "set"
        else keras.callbacks.ModelCheckpoint(
            path,
            save_best_only=True,
            save_weights_only=save == "weights",
            **best,
        )
    )
    model = averaging()
    history = model.fit(
        X, Y, epochs=3, validation_data=(X, Y), callbacks=[callback], **BATCHES
    ).history["val_loss"]
    assert history[0] > history[1] > history[2]
    if save == "weights":
        model.load_weights(path)
    if save == "model":
        model = keras.models.load_model(path)
    loss = model.evaluate(X, Y, verbose=0)[0]
    assert loss == pytest.approx(history[0], rel=1e-5)


def test_validation_sees_the_averages_and_fit_ends_with_them():
    model, seen = averaging(), []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raw = [np.array(w) for w in self.model.trainable_variables]
            seen.append((raw, self.model.get_weights()))

    history = model.fit(
        X, Y, validation_data=(X, Y), callbacks=[Look()], **BATCHES
    ).history
    raw, average = seen[0]
    assert np.max(np.abs(raw[0] - average[0])) > 0.01
    loss = np.mean(tfr.losses.cross_entropy(Y, logits(average)))
    assert history["val_loss"][0] == pytest.approx(loss, rel=1e-4)
    assert_gives(model, average)


def test_a_load_that_fails_leaves_the_averages_alone(tmp_path):
    model = averaging()
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    before = model.predict(X, verbose=0)
    with pytest.raises(Exception, match="nowhere|exist|open"):
        model.load_weights(tmp_path / "nowhere.weights.h5")
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_weights_in_training_are_saved_with_their_averages(tmp_path):
    model, twin = averaging(), averaging()
    for _ in range(3):
        model.train_on_batch(X, Y)
    model.save_weights(tmp_path / "w.weights.h5")
    twin.train_on_batch(X, Y)
    twin.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(
        twin.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    for one in (model, twin):
        one.train_on_batch(X, Y)
    np.testing.assert_array_equal(twin.get_weights()[0], model.get_weights()[0])
    assert backend.has_averages(model)
