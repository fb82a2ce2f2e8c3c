import math

import numpy as np
import pytest

from tfrobust import attacks, losses, schedules, threats, verifiers
from tfrobust.objectives import AWP, MART, PER, TRADES, Clean, WorstCase

LINF = threats.Linf(0.1)
TARGETED = attacks.PGD(LINF, targeted=True)


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
    assert [*found] == ["fgsm"]
    assert Clean().adversaries() == {}


def test_the_outcome_reports_the_logits_it_has(hand):
    def outcome(objective):
        found = objective.search(hand.network, hand.x, hand.y)
        return objective.outcome(hand.network, hand.x, hand.y, found)

    worst = hand.logits(hand.worst())
    full = outcome(WorstCase(hand.attack))
    assert full.clean is None
    assert [*full.worst] == ["fgsm"]
    np.testing.assert_allclose(full.worst["fgsm"], worst, rtol=1e-5)
    half = outcome(WorstCase(hand.attack, mix=0.5))
    np.testing.assert_allclose(half.clean, hand.logits(hand.x), rtol=1e-5)
    assert outcome(Clean()).worst == {}


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


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: WorstCase(LINF), "`adversary` must be an Adversary, such"),
        (lambda: WorstCase(attacks.PGD), "must be an Adversary"),
        (lambda: MART(verifiers.IBP(LINF)), "`attack` must be an Attack"),
        (lambda: TRADES(verifiers.IBP(LINF)), "`attack` must be an Attack"),
        (lambda: TRADES(8 / 255), "`attack` must be an Attack.*0.03"),
        (
            lambda: PER(verifiers.CROWN(LINF), 0.1),
            "`verifier` must be a PolyhedralEnvelope",
        ),
        (lambda: AWP(attacks.PGD(LINF)), "`objective` must be an Objective"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(build, sentence):
    with pytest.raises(TypeError, match=sentence):
        build()


@pytest.mark.parametrize("objective", [WorstCase, TRADES, MART])
@pytest.mark.parametrize(
    "attack",
    [TARGETED, attacks.Ensemble([TARGETED]), attacks.Restart(TARGETED, 2)],
    ids=lambda attack: type(attack).__name__,
)
def test_a_targeted_attack_would_help_the_network_and_is_refused(
    objective, attack
):
    with pytest.raises(ValueError, match="must not be targeted"):
        objective(attack)


@pytest.mark.parametrize(
    "attack",
    [
        attacks.PGD(LINF, early_stop=True),
        attacks.APGD(LINF),
        attacks.AutoAttack(LINF),
        attacks.Restart(attacks.PGD(LINF), 2),
        attacks.FAB(LINF),
        attacks.Square(LINF),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_trades_refuses_what_cannot_ascend_the_divergence(attack):
    with pytest.raises(ValueError, match="`attack` must ascend any loss"):
        TRADES(attack)


@pytest.mark.parametrize("value", [math.nan, math.inf, "6", None, True])
def test_a_weight_that_is_no_finite_number_is_refused(hand, value):
    for build in (WorstCase, MART, lambda a, b: AWP(Clean(), b)):
        with pytest.raises(ValueError, match="must (be at least|lie in)"):
            build(hand.attack, value)
    with pytest.raises(ValueError, match="`beta` must be at least 0"):
        MART(hand.attack).replace(beta=-1.0)
