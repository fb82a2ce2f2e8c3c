"""Warnings of radii that don't grow enough, and of other norms."""

import warnings

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.threats import L2, Box, Linf

X = np.random.default_rng(0).uniform(size=(32, 4)).astype("float32")
Y = np.arange(32) % 3
IBP, Ramp = tfr.verifiers.IBP, tfr.schedules.Ramp
BOX = Box(np.full(4, 0.1))


def compiled(epsilon, tested=(), kind=Linf):
    model = tfr.RobustModel(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )
    objective = tfr.objectives.WorstCase(IBP(kind(epsilon)))
    model.compile(
        "sgd", objective=objective, adversaries=[IBP(t) for t in tested]
    )
    return model


@pytest.mark.parametrize(
    "end, threat, grown",
    [(8, Linf(0.1), "0.0875"), (5, Linf(0.2), "0.1"), (8, BOX, "0.0875")],
)
def test_a_ramp_that_does_not_reach_what_is_tested_is_warned_of(
    end, threat, grown
):
    model = compiled(Ramp(0.0, 0.1, end=end), [threat])
    with pytest.warns(UserWarning, match=f"'ibp' grows to {grown} in the 8"):
        model.fit(X, Y, 8, epochs=2, verbose=0)


@pytest.mark.parametrize(
    "epsilon, tested",
    [
        (Ramp(0.0, 0.1, end=7), [Linf(0.1)]),
        (Ramp(0.0, 0.1, end=100), []),
        (Ramp(0.0, 0.1, end=100), [L2(0.1)]),
        (0.05, [Linf(0.1)]),
    ],
)
def test_what_reaches_it_or_says_nothing_is_not(epsilon, tested):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(epsilon, tested).fit(X, Y, 8, epochs=2, verbose=0)


def test_a_second_fit_goes_on_with_the_ramp():
    model = compiled(Ramp(0.0, 0.1, end=12), [Linf(0.1)])
    with pytest.warns(UserWarning, match="grows to"):
        model.fit(X, Y, 8, epochs=2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, 8, epochs=2, verbose=0)


def test_a_certificate_over_another_ball_is_warned_of():
    model = compiled(0.1)
    with pytest.warns(UserWarning, match="against Linf, and .* is over L2"):
        tfr.certify(model, (X, Y), [IBP(L2(0.1))], verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfr.certify(model, (X, Y), [IBP(Linf(0.2))], verbose=0)
        tfr.certify(model, (X, Y), [IBP(BOX)], verbose=0)
        tfr.certify(model.network, (X, Y), [IBP(L2(0.1))], verbose=0)
