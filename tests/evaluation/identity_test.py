import functools
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.evaluation.adversaries import nature
from tfrobust.evaluation.identity import identified, identity

LINF = tfr.threats.Linf(0.1)
FACTOR = 1.0
PGD, FAB = tfr.attacks.PGD, tfr.attacks.FAB


def network(scale=1.0, activation="relu"):
    made = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, activation=activation)]
    )
    made.set_weights([scale * np.ones([3, 2]), np.zeros(2)])
    return made


def mask(at):
    return (np.arange(2000) == at).reshape(1, 2000)


def scaled(factor):
    return lambda y, logits: factor * tfr.losses.margin(y, logits)


def attacking(member):
    """A class of an attack with one member of its own."""

    class Mine(tfr.Attack):
        def __init__(self, threat):
            self.threat = threat

        _perturb = member

    return Mine(LINF)


def transferred(surrogate):
    return tfr.attacks.Restart(tfr.attacks.Transfer(PGD(LINF), surrogate), 2)


PAIRS = {
    "numbers": (PGD(LINF), lambda: PGD(LINF, steps=11)),
    "classes": (PGD(LINF), lambda: FAB(LINF)),
    "steps": (PGD(LINF), lambda: PGD(LINF).at(3)),
    "long arrays": (
        PGD(LINF.replace(mask=mask(1000))),
        lambda: PGD(LINF.replace(mask=mask(1001))),
    ),
    "kinds of threats": (PGD(LINF), lambda: PGD(tfr.threats.L2(0.1))),
    "weights": (transferred(network()), lambda: transferred(network(2.0))),
    "layers": (
        transferred(network()),
        lambda: transferred(network(activation="gelu")),
    ),
    "code": (
        PGD(LINF, loss=lambda y, z: tfr.losses.margin(y, z)),
        lambda: PGD(LINF, loss=lambda y, z: -tfr.losses.margin(y, z)),
    ),
    "closures": (
        PGD(LINF, loss=scaled(1.0)),
        lambda: PGD(LINF, loss=scaled(2)),
    ),
    "partials": (
        PGD(LINF, loss=tfr.losses.cross_entropy),
        lambda: PGD(
            LINF,
            loss=functools.partial(
                tfr.losses.cross_entropy, label_smoothing=0.1
            ),
        ),
    ),
    "losses": (
        PGD(LINF, loss=tfr.losses.CrossEntropy()),
        lambda: PGD(LINF, loss=tfr.losses.CrossEntropy(0.1)),
    ),
    "members": (
        attacking(lambda self, model, x, y: x + 0.1),
        lambda: attacking(lambda self, model, x, y: x - 0.1),
    ),
    "orders": (
        tfr.attacks.Ensemble([PGD(LINF), FAB(LINF)]),
        lambda: tfr.attacks.Ensemble([FAB(LINF), PGD(LINF)]),
    ),
}


@pytest.mark.parametrize("one, other", PAIRS.values(), ids=PAIRS)
def test_what_does_something_else_has_another_identity(one, other):
    assert identity(one) != identity(other())
    assert identity(one) == identity(one)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PGD(tfr.threats.Linf(0.1, mask=mask(3)), loss=scaled(2.0)),
        lambda: transferred(network()),
        lambda: PGD(LINF, loss=keras.losses.MeanSquaredError()),
        lambda: PGD(LINF, loss=tf.function(scaled(1.0))),
        lambda: attacking(lambda self, model, x, y: tf.abs(x)),
        lambda: tfr.attacks.AutoAttack(LINF),
        lambda: tfr.verifiers.CROWN(tfr.threats.Box(np.ones([2, 2]))),
        lambda: {"a": {1, 2, "three"}, "b": (None, 2.5, b"four", np.int8(5))},
    ],
)
def test_what_is_made_again_has_the_same_identity(make):
    assert identity(make()) == identity(make())


def test_globals_that_a_function_reads_are_part_of_it():
    def loss(y, logits):
        return FACTOR * tfr.losses.margin(y, logits)

    found = []
    for factor in (1.0, 2.0, 1.0):
        loss.__globals__["FACTOR"] = factor
        found.append(identity(loss))
    assert found[0] == found[2] != found[1]


def test_a_function_may_reach_itself():
    def again(count):
        return again(count - 1) if count else 0

    assert len(identity(again)) == 64


def test_what_nothing_is_known_of_is_refused():
    held = functools.partial(print, threading.Lock())
    with pytest.raises(TypeError, match="of which nothing is known"):
        identity(held)
    for unknown in (held, tf.data.Dataset.range(3), np.array([{}])):
        assert identified(unknown) is None
    assert identified(PGD(LINF)) == identity(PGD(LINF))


def test_rows_know_from_birth_what_runs():
    square = tfr.attacks.Square(LINF, queries=9)
    surrogate = tfr.attacks.Transfer(square, network())
    for attack, free in [
        (square, True),
        (tfr.attacks.Restart(square, 2), True),
        (tfr.attacks.Ensemble([square]), True),
        (tfr.attacks.Ensemble([square, PGD(LINF)]), False),
        # It asks another model.
        (surrogate, False),
    ]:
        assert nature(attack)["gradient_free"] is free
    assert nature(None) == {}
