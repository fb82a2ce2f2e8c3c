"""What is not a number is never right and proves nothing."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import losses, metrics
from tfrobust.backend import keras

LINF = tfr.threats.Linf(0.1)
X = np.full((6, 4), 0.5, "float32")
Y = np.array([0, 1, 2, 0, 0, 0])
CATEGORICAL = keras.losses.CategoricalCrossentropy(from_logits=True)


class Bound(tfr.Verifier):
    """A verifier of one bound, be it a number or not."""

    def __init__(self, bound):
        self.threat, self.bound = LINF, bound

    def margins(self, model, x, y):
        true = tf.one_hot(y, 3, True, False, dtype=tf.bool)
        return tf.where(true, 0.0, self.bound)


def network(weight=1.0):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    network.set_weights([np.full((4, 3), weight), np.zeros(3)])
    return network


def evaluated(weight, y=Y, loss=None, **adversaries):
    model = tfr.RobustModel(network(weight))
    second = keras.metrics.TopKCategoricalAccuracy(2, name="second")
    if loss is None:
        second = keras.metrics.SparseTopKCategoricalAccuracy(2, name="second")
    model.compile(
        "sgd",
        loss=loss,
        metrics=["accuracy", second],
        adversaries=adversaries,
    )
    return model.evaluate(X, y, verbose=0, return_dict=True)


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_that_is_no_number_certifies_nothing(bound):
    logs = evaluated(1.0, bound=Bound(bound))
    assert logs["accuracy"] == pytest.approx(4 / 6)
    assert logs["bound_accuracy"] == logs["bound_second"] == 0
    assert evaluated(1.0, bound=Bound(0.1))["bound_accuracy"] == 1


@pytest.mark.parametrize("weight", [math.nan, math.inf, 3e38])
@pytest.mark.parametrize(
    "y, loss", [(Y, None), (np.eye(3, dtype="float32")[Y], CATEGORICAL)]
)
def test_logits_that_are_no_numbers_are_wrong(weight, y, loss):
    attack = tfr.attacks.PGD(LINF, steps=1, loss=loss or "cross_entropy")
    logs = evaluated(weight, y, loss, pgd=attack)
    assert not math.isfinite(logs.pop("loss"))
    assert set(logs.values()) == {0.0} and len(logs) == 4


def test_a_bound_that_is_no_number_is_no_small_loss():
    objective = tfr.objectives.WorstCase(Bound(math.inf))
    assert np.all(np.isnan(objective(network(), X, Y)))


class Diverge(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        weight = math.nan if epoch == 0 else 1.0
        self.model.set_weights([np.full((4, 3), weight), np.zeros(3)])


def test_a_checkpoint_keeps_no_network_that_diverged(tmp_path):
    model = tfr.RobustModel(network())
    crown = tfr.verifiers.CROWN(LINF)
    model.compile(
        keras.optimizers.SGD(0.0),
        objective=tfr.objectives.WorstCase(crown),
        adversaries={"crown": crown},
    )
    best = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "best.keras"),
        monitor="val_crown_accuracy",
        mode="max",
        save_best_only=True,
    )
    right = np.zeros(6, int)
    model.network.set_weights([np.zeros((4, 3)), np.array([1.0, 0, 0])])
    logs = model.fit(
        X,
        right,
        epochs=2,
        validation_data=(X, right),
        verbose=0,
        callbacks=[best, Diverge()],
    ).history
    assert logs["val_crown_accuracy"] == [1, 0] == logs["crown_accuracy"]
    kept = keras.models.load_model(tmp_path / "best.keras")
    assert np.all(np.isfinite(kept.get_weights()[0]))


def test_what_is_finite_and_what_is_no_class_stays_as_it_is():
    z = np.array([[1.0, 2.0, 3.0], [math.nan, 2.0, 3.0]], np.float32)
    found = metrics.surely_wrong(losses.CrossEntropy(), np.array([0, 1]), z)
    np.testing.assert_array_equal(found, [z[0], [0, -math.inf, 0]])
    squared = keras.losses.MeanSquaredError()
    np.testing.assert_array_equal(metrics.surely_wrong(squared, z, z), z)
