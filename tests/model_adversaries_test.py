"""Every adversary of an objective has its metrics in training."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import losses
from tfrobust.backend import keras

LINF = tfr.threats.Linf(0.1)
STEP = tfr.attacks.PGD(LINF, steps=1, step_size=1.0, random_start=0.0)
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.2, 0.8, (20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
KERNEL = 3 * RANDOM.normal(size=(4, 3)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Both(tfr.objectives.Objective):
    """The mean loss of two adversaries."""

    def __init__(self, one, other):
        self.one, self.other = one, other

    def search(self, model, x, y):
        return self.one.perturb(model, x, y), self.other.perturb(model, x, y)

    def outcome(self, model, x, y, found):
        one = self.one.logits(model, found[0], y, training=True)
        other = self.other.logits(model, found[1], y, training=True)
        total = losses.cross_entropy(y, one) + losses.cross_entropy(y, other)
        return tfr.objectives.Outcome(total / 2, worst=self.by_name(one, other))


def history(objective, **options):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    network.set_weights([KERNEL, np.zeros(3, "float32")])
    model = tfr.RobustModel(network)
    rate = keras.optimizers.SGD(0.0)
    model.compile(rate, objective=objective, **options)
    logs = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    return {name: values[0] for name, values in logs.items()}


def accuracies():
    """Clean and worst case, by hand: a linear network falls to one step."""
    logits = X @ KERNEL
    powers = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    worst = X + 0.1 * np.sign((powers - np.eye(3)[Y]) @ KERNEL.T)
    return [np.mean(np.argmax(x @ KERNEL, axis=1) == Y) for x in (X, worst)]


def test_each_of_two_adversaries_logs_what_it_finds():
    clean, worst = accuracies()
    nothing = tfr.verifiers.CROWN(tfr.threats.Linf(0.0))
    logs = history(Both(STEP, nothing), adversaries={"mine": STEP})
    assert worst < clean
    assert logs["pgd1_accuracy"] == logs["val_mine_accuracy"]
    assert logs["pgd1_accuracy"] == pytest.approx(worst)
    assert logs["crown_accuracy"] == logs["accuracy"] == pytest.approx(clean)
    training = {"loss", "accuracy", "pgd1_accuracy", "crown_accuracy"}
    validation = {"val_loss", "val_accuracy", "val_mine_accuracy"}
    assert set(logs) == training | validation


def test_the_second_adversary_of_a_name_is_numbered():
    weak = STEP.replace(threat=tfr.threats.Linf(0.0))
    logs = history(tfr.objectives.AWP(Both(STEP, weak), gamma=0.0))
    clean, worst = accuracies()
    assert logs["pgd1_accuracy"] == pytest.approx(worst)
    assert logs["pgd1-2_accuracy"] == pytest.approx(clean)


class Misnamed(tfr.objectives.WorstCase):
    def by_name(self, *worst):
        return {"mine": worst[0]}


def test_logits_of_another_name_are_refused():
    sentence = "names of the objective's adversaries: pgd1. .*also: mine"
    with pytest.raises(ValueError, match=sentence):
        history(Misnamed(STEP))
