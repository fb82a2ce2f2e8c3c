import json

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, objectives, schedules, threats
from tfrobust.configurable import Configurable

RAMP = schedules.Ramp(0.0, 0.4, end=4)


def nested():
    attack = attacks.PGD(threats.Linf(RAMP), steps=3)
    return objectives.WorstCase(attack, mix=RAMP)


def test_the_configuration_is_the_arguments_of_init():
    config = attacks.FGSM(threats.L2(0.5), seed=7).get_config()
    assert list(config) == [
        "threat",
        "step_size",
        "random_start",
        "targeted",
        "loss",
        "seed",
    ]
    assert config["seed"] == 7
    assert config["threat"]["class_name"] == "L2"


@pytest.mark.parametrize(
    "epsilon",
    [
        np.full((2, 3), 0.25),
        tf.fill([2, 3], 0.25),
        tf.Variable(tf.fill([2, 3], 0.25)),
    ],
    ids=["array", "tensor", "variable"],
)
def test_arrays_and_tensors_are_written_as_the_numbers_they_hold(epsilon):
    config = json.loads(json.dumps(threats.Linf(epsilon).get_config()))
    restored = threats.Linf.from_config(config)
    np.testing.assert_array_equal(restored.epsilon, np.full((2, 3), 0.25))


def test_repr_is_the_call_that_builds_the_object():
    text = repr(threats.L2(12.0, high=2.0))
    assert text == "L2(epsilon=12.0, low=0.0, high=2.0, mask=None)"


def test_replace_copies_and_leaves_the_original_alone():
    threat = threats.Linf(0.1)
    assert threat.replace(epsilon=0.3).epsilon == 0.3
    assert threat.epsilon == 0.1


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        ({"stpes": 3}, TypeError, "PGD has: threat, steps.*Received: stpes"),
        ({"steps": 0}, ValueError, "`steps` must be at least 1"),
        ({"step": 3}, TypeError, "Received: step$"),
    ],
)
def test_replace_refuses_what_init_refuses(change, error, sentence):
    attack = attacks.PGD(threats.Linf(0.1))
    with pytest.raises(error, match=sentence):
        attack.replace(**change)


def test_replace_normalizes_as_init_does_and_keeps_what_was_bound_later():
    threat = threats.L2(0.1).replace(epsilon=1, mask=[1, 0])
    assert isinstance(threat.epsilon, float) and threat.mask.shape == (1, 2)
    attack = attacks.PGD(threat).at(7).replace(steps=3)
    assert (attack.steps, attack.step) == (3, 7)
    loss = object()
    assert nested().bind(loss).replace(mix=0.5).loss is loss


def test_at_a_step_every_schedule_inside_has_its_value():
    moving = nested()
    now = moving.at(3)
    assert float(now.mix) == pytest.approx(0.3)
    assert float(now.adversary.threat.epsilon) == pytest.approx(0.3)
    assert now.schedules() == []
    assert moving.mix is RAMP


def test_schedules_are_named_by_their_path():
    assert nested().schedules() == ["adversary.threat.epsilon", "mix"]


def test_what_takes_no_arguments_needs_no_constructor():
    class Still(Configurable):
        pass

    assert repr(Still()) == "Still()"
    assert isinstance(Still().replace(), Still)
    assert Still().get_config() == {}
