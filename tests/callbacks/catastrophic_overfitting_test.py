"""Each trigger, each action, and a one-step training that overfits."""

import warnings

import numpy as np
import pytest
import sklearn.datasets

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.callbacks import CatastrophicOverfitting
from tfrobust.callbacks.symptoms import Check, symptoms

RNG = np.random.default_rng(0)
X = RNG.random((24, 4), np.float32)
Y = np.argmax(X[:, :3], axis=1)
LINF = tfr.threats.Linf(0.02)
PGD = tfr.attacks.PGD(LINF, steps=3)
HEALTHY = Check(0.9, 0.6, 0.5, 0.8, 0.9)


@pytest.mark.parametrize(
    ("now", "phrase"),
    [
        (HEALTHY._replace(strong=0.29), "strong attack fell from 0.5 to 0.29"),
        (HEALTHY._replace(strong=0.31), None),
        (HEALTHY._replace(single=0.91), "one step, 0.91, exceeds"),
        (HEALTHY._replace(single=0.9), None),
        (HEALTHY._replace(cosine=0.1), "cosine fell from 0.8 to 0.1"),
        (HEALTHY._replace(cosine=0.3), None),
        (HEALTHY._replace(pert_align=0.1), "pert_align fell from 0.9 to 0.1"),
        (HEALTHY._replace(pert_align=np.nan), None),
    ],
)
def test_a_trigger_fires_alone_and_only_over_its_limit(now, phrase):
    found = symptoms(now, [HEALTHY])
    assert len(found) == (phrase is not None)
    if phrase:
        assert phrase in found[0]


def test_one_step_may_not_be_learned_while_the_strong_attack_takes_all():
    before = HEALTHY._replace(strong=0.04)
    for single, count in ((0.7, 1), (0.6, 0)):
        now = before._replace(single=single)
        assert len(symptoms(now, [before])) == count
    assert (
        "one step rose to 0.7"
        in symptoms(before._replace(single=0.7), [before])[0]
    )


def test_nothing_is_wrong_at_a_healthy_first_check():
    assert symptoms(HEALTHY, []) == []


GOOD = [np.eye(4, 3, dtype=np.float32), np.zeros(3, np.float32)]


class Counted(tfr.RobustModel):
    """Counts how often its training step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


class Ruin(keras.callbacks.Callback):
    """Good weights in the first epoch, opposite ones from the third on."""

    def on_epoch_end(self, epoch, logs=None):
        sign = -1.0 if epoch >= 2 else 1.0
        self.model.set_weights([sign * part for part in GOOD])


def fitted(action, **options):
    model = Counted(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )
    model.compile(
        keras.optimizers.SGD(1e-9),
        objective=tfr.objectives.WorstCase(tfr.attacks.FGSM(LINF)),
        adversaries=PGD,
    )
    monitor = CatastrophicOverfitting((X, Y), PGD, action, **options)
    history = model.fit(
        X,
        Y,
        8,
        epochs=4,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[Ruin(), monitor],
    )
    return model, history.history


def test_warning_leaves_the_weights():
    with pytest.warns(UserWarning, match="strong attack fell from"):
        model, history = fitted("warn")
    assert history["catastrophic_overfitting"] == [0, 0, 1, 1]
    assert history["held_out_accuracy"] == [1, 1, 0, 0]
    assert history["held_out_strong_accuracy"][0] > 0.5
    assert model.get_weights()[0][0, 0] < 0


def test_restoring_brings_the_last_healthy_weights_back():
    with pytest.warns(UserWarning, match="Catastrophic overfitting"):
        model, history = fitted("restore")
    np.testing.assert_array_equal(model.get_weights()[0], GOOD[0])
    assert history["catastrophic_overfitting"] == [0, 0, 1, 2]


def test_stopping_ends_with_them():
    with pytest.warns(UserWarning, match="Catastrophic overfitting"):
        model, history = fitted("stop")
    np.testing.assert_array_equal(model.get_weights()[0], GOOD[0])
    assert len(history["loss"]) == 3


def test_a_function_is_told_what_is_wrong():
    told = []
    fitted(lambda model, found: told.append((type(model), found)))
    assert len(told) == 1 and told[0][0] is Counted
    assert "fell" in told[0][1][0]


def test_an_objective_follows_at_one_more_trace():
    plain, _ = fitted(lambda model, found: None)
    steps = tfr.objectives.WorstCase(tfr.attacks.PGD(LINF, steps=2))
    with pytest.warns(UserWarning, match="Catastrophic overfitting"):
        model, history = fitted(steps)
    assert model.traces == plain.traces + 1
    assert len(history["fgsm_accuracy"]) == 3
    assert len(history["pgd2_accuracy"]) == 1
    assert history["val_pgd3_accuracy"][3] > 0.5
    np.testing.assert_allclose(model.get_weights()[0], GOOD[0], atol=1e-5)


def test_it_checks_every_few_steps():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, history = fitted("warn", every=2)
    assert np.all(np.isfinite(history["held_out_cosine"]))


def test_a_linear_network_has_a_cosine_of_one():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    monitor = CatastrophicOverfitting((X, Y % 2), PGD)
    monitor.set_model(model)
    monitor.on_train_begin()
    logs = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monitor.on_epoch_end(0, logs)
    assert logs["held_out_cosine"] == pytest.approx(1, abs=1e-5)


def digits(epsilon, epochs):
    """The history of one-step training without a random start."""
    keras.utils.set_random_seed(0)
    held = sklearn.datasets.load_digits()
    x, y = (held.images / 16).astype(np.float32)[..., None], held.target
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    linf = tfr.threats.Linf(epsilon)
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.Adam(0.003),
        objective=tfr.objectives.WorstCase(tfr.attacks.FGSM(linf)),
    )
    strong = tfr.attacks.PGD(linf, steps=10)
    monitor = CatastrophicOverfitting(
        (x[1400:], y[1400:]), strong, action=lambda model, found: None
    )
    return model.fit(
        x[:1400], y[:1400], 64, epochs, verbose=0, callbacks=[monitor]
    ).history


def test_one_step_training_at_a_large_epsilon_is_noticed():
    history = digits(epsilon=0.45, epochs=10)
    assert history["catastrophic_overfitting"][-1] > 0
    assert history["held_out_strong_accuracy"][-1] < 0.05
    assert history["held_out_single_accuracy"][-1] > 0.08


def test_at_a_small_one_there_is_no_alarm():
    history = digits(epsilon=0.1, epochs=3)
    assert history["catastrophic_overfitting"][-1] == 0
    assert history["held_out_strong_accuracy"][-1] > 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attack": None}, "`attack` must be an Attack"),
        ({"single": LINF}, "`single` must be an Attack"),
        ({"action": "panic"}, "`action` must be one of warn, restore, stop"),
        (
            {"action": tfr.objectives.ATTA(LINF)},
            "`action` must remember nothing",
        ),
        ({"every": 0}, "`every` must be at least 1"),
        (
            {"attack": tfr.attacks.PGD(LINF, targeted=True)},
            "must not be targeted",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    given = {"data": (X, Y), "attack": PGD} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        CatastrophicOverfitting(**given)
