"""Keras's own callbacks work on robust metrics."""

import csv

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(20, 4)).astype("float32")
Y = np.argmax(X[:, :3], axis=1)
GOOD = np.eye(4, 3, dtype="float32")
STEP = tfr.attacks.PGD(tfr.threats.Linf(0.01), steps=1)
BEST = {"monitor": "val_pgd_accuracy", "mode": "max"}


class Decay(keras.callbacks.Callback):
    """Good weights in the first epoch, the opposite ones afterwards."""

    def on_epoch_begin(self, epoch, logs=None):
        sign = 1.0 if epoch == 0 else -1.0
        self.model.set_weights([sign * GOOD, np.zeros(3)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model after a fit with callbacks, its history and its folder."""
    folder = tmp_path_factory.mktemp("run")
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(1e-9),
        objective=tfr.objectives.WorstCase(STEP),
        adversaries={"pgd": STEP},
    )
    history = model.fit(
        X,
        Y,
        epochs=9,
        validation_data=(X, Y),
        verbose=0,
        callbacks=[
            Decay(),
            keras.callbacks.CSVLogger(str(folder / "history.csv")),
            keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, **BEST),
            keras.callbacks.ModelCheckpoint(
                str(folder / "best.keras"), save_best_only=True, **BEST
            ),
            keras.callbacks.EarlyStopping(
                patience=2, restore_best_weights=True, **BEST
            ),
        ],
    )
    return model, history.history, folder


def test_early_stopping_restores_the_most_robust_weights(run):
    model, history, _ = run
    assert len(history["loss"]) == 3
    robust = history["val_pgd_accuracy"]
    assert robust[0] > 0.9 and robust[1] < 0.1
    np.testing.assert_allclose(model.get_weights()[0], GOOD, atol=1e-6)


def test_the_checkpoint_holds_the_most_robust_weights(run):
    _, history, folder = run
    best = keras.models.load_model(folder / "best.keras")
    logs = best.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["pgd_accuracy"] == history["val_pgd_accuracy"][0]


def test_the_learning_rate_falls_on_a_plateau(run):
    model, _, _ = run
    rate = float(np.asarray(model.optimizer.learning_rate))
    assert rate == pytest.approx(0.25e-9)


def test_the_csv_file_has_exactly_the_six_columns(run):
    _, history, folder = run
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    names = {"loss", "accuracy", "pgd1_accuracy"}
    names |= {"val_loss", "val_accuracy", "val_pgd_accuracy"}
    assert set(rows[0]) == {"epoch"} | names
    for name in names:
        assert [float(row[name]) for row in rows] == history[name]
