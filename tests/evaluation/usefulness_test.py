"""A model that is of no use has a report that says so."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.evaluation import Row
from tfrobust.evaluation.usefulness import counted, of_answers

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)


def states(labels, predicted, classes):
    labels, predicted = np.array(labels), np.array(predicted)
    clean = Row("clean", labels == predicted)
    found = of_answers(clean, counted(labels, predicted, classes))
    return {check.name: check.state for check in found}


def answers(accuracy, classes, count=1000):
    """Labels, and answers of which so many are right, the rest at random."""
    labels = np.arange(count) % classes
    wrong = (labels + RNG.integers(1, classes, count)) % classes
    right = RNG.permutation(count) < accuracy * count
    return labels, np.where(right, labels, wrong), classes


@pytest.mark.parametrize(
    "accuracy, classes, state",
    [
        (0.98, 10, "ok"),
        (0.45, 10, "ok"),
        (0.70, 2, "ok"),
        (0.20, 100, "ok"),
        (0.04, 10, "FAILED"),
        (0.12, 10, "FAILED"),
        (0.52, 2, "FAILED"),
        (0.02, 2, "FAILED"),
    ],
)
def test_accuracy_must_be_above_chance(accuracy, classes, state):
    assert states(*answers(accuracy, classes))["chance"] == state


def test_rare_classes_may_be_found_beside_a_frequent_one():
    labels = np.arange(1000) < 30
    found = labels & (np.arange(1000) < 25)
    assert states(labels.astype(int), found.astype(int), 2)["chance"] == "ok"
    never = states(labels.astype(int), np.zeros(1000, int), 2)
    assert never["chance"] == never["several_classes"] == "FAILED"


def test_data_of_one_class_cannot_tell_and_is_noted():
    found = states(np.ones(1000, int), np.ones(1000, int), 3)
    assert found["chance"] == found["several_classes"] == "note"


@pytest.mark.parametrize(
    "count, state", [(99, "FAILED"), (100, "note"), (999, "note"), (1000, "ok")]
)
def test_few_examples_are_noted_and_too_few_fail(count, state):
    assert states(*answers(0.9, 10, count))["enough_examples"] == state


def test_a_constant_model_is_unreliable_however_it_is_evaluated():
    def constant(x, training=False):
        return 0 * x + tf.constant([0.0, 1.0, 0.0])

    x = RNG.uniform(0.2, 0.8, (120, 3)).astype(np.float32)
    data, threat = (x, np.arange(120) % 3), tfr.threats.Linf(0.1)
    attack = tfr.attacks.FGSM(threat)
    options = {"diagnostic_examples": 0, "verbose": 0}
    for report in (
        tfr.evaluate(constant, data, attack, **options),
        tfr.certify(
            constant, data, tfr.verifiers.IBP(threat), attack, verbose=0
        ),
    ):
        assert report["worst case"].accuracy == pytest.approx(1 / 3)
        failed = {c.name for c in report.checks if c.state == "FAILED"}
        assert {"chance", "several_classes"} <= failed
        assert "enough_examples" not in failed
        assert report.classes == {"labels": [40] * 3, "predicted": [0, 120, 0]}
