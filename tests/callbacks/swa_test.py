"""An average of epochs: which, when it is read, and after a restart."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.callbacks import SWA

RNG = np.random.default_rng(0)
X = RNG.random((16, 4), np.float32)
Y = np.arange(16) % 3
SWITCHED_ON = {"use_ema": True, "ema_momentum": 1.0}


def compiled(**options):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    options = options or SWITCHED_ON
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9, **options))
    return model


class Trained(keras.callbacks.Callback):
    """Notes the weights that are trained and those that are validated."""

    def __init__(self):
        super().__init__()
        self.raw, self.averaged = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.raw.append(np.array(self.model.network.get_weights()[0]))
        self.averaged.append(self.model.get_weights()[0])


def fit(model, *callbacks, epochs=4, **options):
    return model.fit(
        X,
        Y,
        8,
        epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    ).history


def test_from_the_start_on_it_is_the_mean_of_the_epochs():
    model, trained = compiled(), Trained()
    fit(model, SWA(start=1), trained)
    raw = np.array(trained.raw, np.float64)
    assert np.max(np.abs(raw[1] - raw[3])) > 0.1
    expected = [raw[0], raw[1], raw[1:3].mean(0), raw[1:4].mean(0)]
    np.testing.assert_allclose(trained.averaged, expected, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[0], expected[3], atol=1e-6)


def test_training_goes_on_from_the_weights_as_if_nobody_averaged():
    averaged, plain = Trained(), Trained()
    fit(compiled(), SWA(start=0), averaged, validation_data=(X, Y))
    fit(compiled(use_ema=False), plain)
    np.testing.assert_allclose(averaged.raw, plain.raw, atol=1e-6)


def test_the_average_that_is_validated_has_the_epoch_in_it():
    model = compiled()
    history = fit(model, SWA(start=1), validation_data=(X, Y))
    loss = model.evaluate(X, Y, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)


def test_whoever_reads_it_twice_gets_it_twice():
    class Reader(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.get_weights()
            with self.model.averaged():
                self.model.get_weights()

    model, read = compiled(), compiled()
    fit(model, SWA(start=1))
    fit(read, SWA(start=1), Reader())
    np.testing.assert_array_equal(model.get_weights()[0], read.get_weights()[0])


def test_weights_that_are_set_at_an_end_of_an_epoch_are_the_average():
    best = [np.full((4, 3), 7.0), np.zeros(3)]

    class Restore(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                self.model.set_weights(best)

    model = compiled()
    fit(model, Restore(), SWA(start=0))
    np.testing.assert_array_equal(model.get_weights()[0], best[0])


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise Killed


def backup(folder):
    return keras.callbacks.BackupAndRestore(str(folder))


def test_training_that_is_resumed_ends_with_the_same_average(tmp_path):
    whole, killed, resumed = (compiled() for _ in range(3))
    fit(whole, SWA(start=1), epochs=5)
    with pytest.raises(Killed):
        fit(killed, SWA(start=1), backup(tmp_path), Kill(), epochs=5)
    history = fit(resumed, SWA(start=1), backup(tmp_path), epochs=5)
    assert len(history["loss"]) == 2
    for one, two in zip(
        whole.get_weights(), resumed.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("start", [-1, 1.5, True, None])
def test_a_start_that_is_no_epoch_is_refused(start):
    with pytest.raises(ValueError, match="`start` must .* Received: start="):
        SWA(start)


@pytest.mark.parametrize(
    "options",
    [{"use_ema": False}, {"use_ema": True}]
    + [{**SWITCHED_ON, "ema_overwrite_frequency": 5}],
)
def test_an_optimizer_that_averages_otherwise_is_refused(options):
    with pytest.raises(ValueError, match="use_ema=True and ema_momentum=1.0"):
        fit(compiled(**options), SWA(start=0))


def test_a_model_that_reads_no_averages_is_refused():
    model = compiled().network
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="`model` must be a RobustModel"):
        model.fit(X, np.zeros((16, 3)), verbose=0, callbacks=[SWA(0)])
