"""What `compile` makes of an epsilon."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

X = np.random.default_rng(0).uniform(size=(8, 4)).astype("float32")
Y = np.arange(8) % 3


def model():
    return tfr.RobustModel(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )


def test_epsilon_alone_trains_by_pgd_and_names_what_it_measures():
    robust = model()
    robust.compile("adam", epsilon=0.1)
    fitted = robust.fit(X, Y, validation_data=(X, Y), verbose=0)
    assert {"pgd10_accuracy", "val_pgd20_accuracy"} < set(fitted.history)
    threat = tfr.threats.Linf(0.1)
    recipe = robust.get_compile_config()
    other = model()
    other.compile(
        "adam",
        objective=tfr.objectives.WorstCase(tfr.attacks.PGD(threat)),
        adversaries=[tfr.attacks.PGD(threat, steps=20)],
    )
    expected = other.get_compile_config()
    for name in ("objective", "adversaries"):
        assert recipe[name] == expected[name]


def test_epsilon_chooses_only_what_is_missing():
    pgd = tfr.attacks.PGD(tfr.threats.Linf(0.2), steps=1)
    robust = model()
    robust.compile("adam", objective=tfr.objectives.Clean(), epsilon=0.1)
    fitted = robust.fit(X, Y, validation_data=(X, Y), verbose=0)
    assert "val_pgd20_accuracy" in fitted.history
    assert not any(name.startswith("pgd") for name in fitted.history)
    with pytest.raises(TypeError, match="`epsilon` would be ignored"):
        robust.compile(
            "adam",
            objective=tfr.objectives.WorstCase(pgd),
            adversaries=[pgd],
            epsilon=0.1,
        )


@pytest.mark.parametrize(
    "epsilon, error, sentence",
    [
        ("0.1", TypeError, "Received: epsilon='0.1'"),
        (8, ValueError, "Did you mean 8/255?"),
    ],
)
def test_an_epsilon_that_is_none_is_refused(epsilon, error, sentence):
    with pytest.raises(error, match=sentence):
        model().compile("adam", epsilon=epsilon)
