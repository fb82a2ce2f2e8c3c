"""Attacks that aren't told labels."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks
from tfrobust.threats import Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(4, 3)).astype(np.float32)
X = RNG.uniform(0.3, 0.7, size=(8, 4)).astype(np.float32)


def linear(x, training=False):
    return x @ WEIGHTS


@pytest.mark.parametrize("attack", [attacks.PGD, attacks.FGSM, attacks.FAB])
def test_without_labels_the_answer_is_led_away_from(attack):
    y = np.argmax(linear(X), axis=1)
    run = attack(Linf(0.3))
    found = run.perturb(linear, X)
    np.testing.assert_array_equal(found, run.perturb(linear, X, y))
    assert np.mean(np.argmax(linear(found), axis=1) == y) < 1


def test_who_leads_to_a_class_must_be_told_which():
    attack = attacks.PGD(Linf(0.3), targeted=True)
    with pytest.raises(ValueError, match="`y` must hold the classes that"):
        attack.perturb(linear, X)


def test_it_works_inside_of_a_graph():
    attack = attacks.PGD(Linf(0.3), steps=2)
    compiled = tf.function(lambda x: attack.perturb(linear, x))
    np.testing.assert_allclose(compiled(X), attack.perturb(linear, X))
