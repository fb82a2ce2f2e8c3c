"""The gap to the best, the best at the end, and both after a kill."""

import csv

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.callbacks import RobustOverfitting

RNG = np.random.default_rng(0)
X = RNG.random((16, 4), np.float32)
Y = np.arange(16) % 3
STEP = tfr.attacks.PGD(tfr.threats.Linf(0.01), steps=1)
VALUES = [0.3, 0.5, 0.4, 0.45, 0.2]
GAPS = [0, 0, 0.1, 0.05, 0.3]


class Curve(keras.callbacks.Callback):
    """Has the accuracies of a list in the logs, and notes the weights."""

    def __init__(self, values=VALUES):
        super().__init__()
        self.values, self.weights = values, {}

    def on_epoch_end(self, epoch, logs=None):
        logs["robust"] = self.values[epoch]
        self.weights[epoch] = self.model.get_weights()


def compiled(**options):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    model.compile(keras.optimizers.SGD(0.5, **options), adversaries=[STEP])
    return model


def fit(model, *callbacks, epochs=5, **options):
    return model.fit(
        X,
        Y,
        8,
        epochs,
        verbose=0,
        shuffle=False,
        callbacks=list(callbacks),
        **options,
    ).history


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("use_ema", [False, True])
def test_each_epoch_logs_the_gap_and_the_end_is_the_best(use_ema, tmp_path):
    model, curve = compiled(use_ema=use_ema), Curve()
    monitor = RobustOverfitting("robust")
    table = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = fit(model, curve, monitor, table)
    np.testing.assert_allclose(history["robust_gap"], GAPS, atol=1e-9)
    with open(tmp_path / "log.csv") as file:
        column = [float(row["robust_gap"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(column, GAPS, atol=1e-9)
    assert (monitor.best, monitor.best_epoch) == (0.5, 1)
    assert_equal(model.get_weights(), curve.weights[1])
    assert np.any(curve.weights[1][0] != curve.weights[4][0])


def test_what_is_restored_evaluates_as_the_best_epoch_did():
    model = compiled(use_ema=True)
    gap = RobustOverfitting("val_pgd1_accuracy")
    history = fit(model, gap, validation_data=(X, Y))["val_pgd1_accuracy"]
    found = model.evaluate(X, Y, verbose=0, return_dict=True)["pgd1_accuracy"]
    assert found == pytest.approx(max(history))


def test_what_is_not_a_number_is_never_the_best():
    model, curve = compiled(), Curve([np.nan, 0.2, np.nan, 0.1, 0.2])
    history = fit(model, curve, RobustOverfitting("robust"))
    expected = [np.nan, 0, np.nan, 0.1, 0]
    np.testing.assert_allclose(history["robust_gap"], expected, atol=1e-9)
    assert_equal(model.get_weights(), curve.weights[1])


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise Killed


def test_a_killed_run_ends_with_the_best_of_all_its_epochs(tmp_path):
    def run(*callbacks):
        model, curve = compiled(), Curve()
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
        gap = RobustOverfitting("robust", tmp_path / "best.npz")
        return model, curve, fit(model, curve, gap, backup, *callbacks)

    whole, curve = compiled(), Curve()
    fit(whole, curve, RobustOverfitting("robust"))
    with pytest.raises(Killed):
        run(Kill())
    resumed, rest, history = run()
    np.testing.assert_allclose(history["robust_gap"], GAPS[3:], atol=1e-9)
    assert set(rest.weights) == {3, 4}
    assert_equal(resumed.get_weights(), curve.weights[1])


def test_a_file_of_another_run_is_refused_and_a_new_run_writes_its_own(
    tmp_path,
):
    path = tmp_path / "best.npz"
    fit(compiled(), Curve([0.1] * 4 + [0.9]), RobustOverfitting("robust", path))
    model, curve = compiled(), Curve([0.1, 0.2])
    fit(model, curve, RobustOverfitting("robust", path), epochs=2)
    assert_equal(model.get_weights(), curve.weights[1])
    late = {"initial_epoch": 1, "epochs": 3}
    other = Curve(VALUES)
    with pytest.raises(
        ValueError, match="Received: path=.*robust, where epoch"
    ):
        gap = RobustOverfitting("val_accuracy", path)
        fit(compiled(), other, gap, validation_data=(X, Y), **late)
    narrow = tfr.RobustModel(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    )
    narrow.compile("sgd")
    with pytest.raises(ValueError, match="must hold what this run left"):
        fit(narrow, other, RobustOverfitting("robust", path), **late)


def test_a_monitor_that_is_not_logged_is_refused_by_what_is():
    message = "logs each epoch: accuracy, loss, val_accuracy.*val_pgd1_accuracy"
    with pytest.raises(ValueError, match=message):
        fit(compiled(), RobustOverfitting(), validation_data=(X, Y))
    with pytest.raises(ValueError, match="It takes `validation_data`"):
        fit(compiled(), RobustOverfitting("val_pgd1_accuracy"))


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(TypeError, match="`monitor` must be a str"):
        RobustOverfitting(3)
    with pytest.raises(ValueError, match="be no loss. Received: monitor="):
        RobustOverfitting("val_loss")
    with pytest.raises(ValueError, match="`path` must end in .npz"):
        RobustOverfitting(path="best.keras")
