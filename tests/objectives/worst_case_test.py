import numpy as np
import pytest

from tfrobust import losses, schedules
from tfrobust.objectives import AWP, MART, TRADES, Clean, WorstCase


def test_standard_training_is_the_loss_at_the_inputs(hand):
    expected = hand.cross_entropy(hand.logits(hand.x))
    values = Clean()(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_the_worst_case_is_the_loss_at_the_point_of_the_attack(hand):
    expected = hand.cross_entropy(hand.logits(hand.worst()))
    values = WorstCase(hand.attack)(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("mix", [0.3, schedules.Ramp(0.0, 0.6, end=10)])
def test_a_mixture_weighs_clean_and_worst_loss(hand, mix):
    clean = hand.cross_entropy(hand.logits(hand.x))
    worst = hand.cross_entropy(hand.logits(hand.worst()))
    objective = WorstCase(hand.attack, mix=mix)
    values = objective(hand.network, hand.x, hand.y, step=5)
    np.testing.assert_allclose(values, 0.7 * clean + 0.3 * worst, rtol=1e-5)


def test_the_bound_loss_smooths_the_labels_of_training_alone(hand):
    logits = hand.logits(hand.worst())
    target = 0.8 * np.eye(3)[hand.y] + 0.2 / 3
    expected = -(target * np.log(hand.softmax(logits))).sum(axis=1)
    smooth = WorstCase(hand.attack).bind(losses.CrossEntropy(0.2))
    values = smooth(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_loss_is_bound_to_the_objectives_inside(hand):
    bound = AWP(WorstCase(hand.attack)).bind(losses.Margin())
    assert isinstance(bound.objective.loss, losses.Margin)
    assert isinstance(WorstCase.loss, losses.CrossEntropy)


def test_adversaries_are_found_in_the_objectives_inside(hand):
    found = AWP(TRADES(hand.attack.replace(random_start=1.0))).adversaries()
    assert [type(adversary).__name__ for adversary in found] == ["FGSM"]
    assert Clean().adversaries() == []


def test_the_outcome_reports_the_logits_it_has(hand):
    def outcome(objective):
        found = objective.search(hand.network, hand.x, hand.y)
        return objective.outcome(hand.network, hand.x, hand.y, found)

    worst = hand.logits(hand.worst())
    full = outcome(WorstCase(hand.attack))
    assert full.clean is None
    np.testing.assert_allclose(full.worst, worst, rtol=1e-5)
    half = outcome(WorstCase(hand.attack, mix=0.5))
    np.testing.assert_allclose(half.clean, hand.logits(hand.x), rtol=1e-5)
    assert outcome(Clean()).worst is None


@pytest.mark.parametrize("mix", [-0.1, 1.1, np.nan])
def test_a_mix_outside_its_range_is_refused(hand, mix):
    with pytest.raises(ValueError, match=r"`mix` must lie in \[0, 1\]"):
        WorstCase(hand.attack, mix=mix)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda attack: TRADES(attack, beta=-1.0), "`beta`.*beta=-1.0"),
        (lambda attack: MART(attack, beta=-1.0), "`beta`.*beta=-1.0"),
        (lambda attack: AWP(Clean(), gamma=-0.1), "`gamma`.*gamma=-0.1"),
        (TRADES, "must start at random.*random_start=1.0"),
    ],
)
def test_an_impossible_objective_is_refused(hand, build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(hand.attack)
