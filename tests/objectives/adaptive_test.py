"""Objectives that treat instances each in its own way, by hand."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.attacks import FGSM, PGD
from tfrobust.objectives import (
    ATTA,
    IAT,
    QUB,
    TRADES,
    Free,
    Recorded,
    Reweighted,
    SelfAdaptive,
    WorstCase,
)
from tfrobust.threats import Linf

LINEAR = FGSM(Linf(0.1))
ONEHOT = np.eye(3)


def rows(visits=9.0, **more):
    more = {k: tf.constant(v, tf.float32) for k, v in more.items()}
    return {"visits": tf.fill([3], visits), "index": tf.range(3), **more}


def outcome(hand, objective, rows):
    now = objective.at(0, rows)
    found = now.search(hand.network, hand.x, hand.y)
    return now.outcome(hand.network, hand.x, hand.y, found)


@pytest.fixture
def old():
    found = np.random.default_rng(0).uniform(size=(3, 3))
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_targets_follow_the_prediction(hand, old, weighted):
    objective = SelfAdaptive(WorstCase(LINEAR), 0.8, 0.1, weighted=weighted)
    found = outcome(hand, objective, rows(targets=old))
    probabilities = hand.softmax(hand.logits(hand.worst()))
    targets = 0.8 * old + 0.2 * probabilities
    np.testing.assert_allclose(found.rows["targets"], targets, rtol=1e-5)
    target = 0.1 * ONEHOT[hand.y] + 0.9 * targets
    expected = -(target * np.log(probabilities)).sum(axis=1)
    if weighted:
        expected *= targets.max(axis=1) / targets.max(axis=1).mean()
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)


def test_in_trades_it_is_the_clean_prediction(hand, old):
    attack = PGD(Linf(0.1), steps=1)
    objective = SelfAdaptive(TRADES(attack), 0.8, weighted=False)
    found = outcome(hand, objective, rows(targets=old))
    targets = 0.8 * old + 0.2 * hand.softmax(hand.logits(hand.x))
    np.testing.assert_allclose(found.rows["targets"], targets, rtol=1e-5)
    plain = outcome(hand, TRADES(attack), {})
    change = (ONEHOT[hand.y] - targets) * np.log(
        hand.softmax(hand.logits(hand.x))
    )
    expected = plain.losses + change.sum(axis=1)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)


@pytest.mark.parametrize(("visits", "moves"), [(0, 0), (4, 0), (5, 1)])
def test_targets_are_the_labels_until_they_have_warmed_up(hand, visits, moves):
    objective = SelfAdaptive(WorstCase(LINEAR), 0.8, weighted=False)
    found = outcome(hand, objective, rows(visits, targets=np.zeros((3, 3))))
    probabilities = hand.softmax(hand.logits(hand.worst()))
    onehot = ONEHOT[hand.y]
    expected = (0.8 * onehot + 0.2 * probabilities) if moves else onehot
    np.testing.assert_allclose(found.rows["targets"], expected, atol=1e-6)


def test_no_gradient_flows_through_targets_or_weights(hand, old):
    kernel = hand.network.trainable_variables[0]

    def gradient(objective, **more):
        now = objective.at(0, rows(**more))
        found = now.search(hand.network, hand.x, hand.y)
        with tf.GradientTape() as tape:
            values = now.outcome(hand.network, hand.x, hand.y, found).losses
        return tape.gradient(values, kernel)

    worst = hand.worst()
    probabilities = hand.softmax(hand.logits(worst))
    adaptive = SelfAdaptive(WorstCase(LINEAR), 0.8, weighted=False)
    target = 0.8 * old + 0.2 * probabilities
    np.testing.assert_allclose(
        gradient(adaptive, targets=old),
        worst.T @ (probabilities - target),
        rtol=1e-4,
    )
    weight = probabilities[np.arange(3), hand.y]
    weight = (weight / weight.mean())[:, np.newaxis]
    np.testing.assert_allclose(
        gradient(Reweighted(WorstCase(LINEAR), by="worst")),
        worst.T @ (weight * hand.error(hand.logits(worst))),
        rtol=1e-4,
    )


@pytest.mark.parametrize("by", ["clean", "worst", "largest"])
@pytest.mark.parametrize("complement", [False, True])
def test_weights_are_probabilities_of_mean_one(hand, by, complement):
    objective = Reweighted(WorstCase(LINEAR), by, complement)
    found = outcome(hand, objective, {})
    clean, worst = hand.logits(hand.x), hand.logits(hand.worst())
    probabilities = hand.softmax(clean if by == "clean" else worst)
    weight = probabilities[np.arange(3), hand.y]
    weight = probabilities.max(axis=1) if by == "largest" else weight
    weight = 1 - weight if complement else weight
    np.testing.assert_allclose(found.reported["weight"], weight, rtol=1e-5)
    expected = weight / weight.mean() * hand.cross_entropy(worst)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)


def test_early_visits_count_in_full(hand):
    objective = Reweighted(Recorded(WorstCase(LINEAR)), "worst", warmup=3)
    slots = objective.slots((3,), 3)
    memory = {name: np.zeros(3) for name in slots}
    for visits, full in [(2.0, True), (3.0, False)]:
        found = outcome(hand, objective, rows(visits, **memory))
        assert np.allclose(found.reported["weight"], 1) == full


def label_right(hand):
    """All but the last example are classified correctly."""
    hand.y = np.argmax(hand.logits(hand.x), axis=1)
    hand.y[-1] = (hand.y[-1] + 1) % 3


EPSILONS = np.array([0.02, 0.6, 0.05])


def by_hand(hand, epsilon, gamma, beta, low, high):
    """Epsilons after a visit; FGSM of a linear network moves by signs."""
    direction = np.sign(hand.error(hand.logits(hand.x)) @ hand.kernel.T)
    new = []
    for x, y, e, sign in zip(hand.x, hand.y, epsilon, direction, strict=True):

        def right(radius, x=x, y=y, sign=sign):
            point = np.clip(x + radius * sign, 0, 1)
            return np.argmax(hand.logits(point)) == y

        if right(e + gamma):
            aim = min(high, e + gamma)
        else:
            aim = e if right(e) else max(low, e - gamma)
        new.append((1 - beta) * e + beta * aim)
    return np.array(new)


@pytest.mark.parametrize("gamma", [0.01, 0.3])
def test_epsilons_move_with_what_they_resist(hand, gamma):
    label_right(hand)
    objective = IAT(LINEAR, high=0.62, low=0.01, gamma=gamma, beta=0.5)
    found = outcome(hand, objective, rows(epsilon=EPSILONS))
    expected = by_hand(hand, EPSILONS, gamma, 0.5, 0.01, 0.62)
    np.testing.assert_allclose(found.rows["epsilon"], expected, rtol=1e-5)
    assert len(set(np.sign(expected - EPSILONS))) > 1
    early = outcome(hand, objective, rows(4.0, epsilon=EPSILONS))
    np.testing.assert_allclose(early.rows["epsilon"], EPSILONS, rtol=1e-6)
    direction = np.sign(hand.error(hand.logits(hand.x)) @ hand.kernel.T)
    worst = np.clip(hand.x + EPSILONS[:, np.newaxis] * direction, 0, 1)
    expected = hand.cross_entropy(hand.logits(worst))
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)


def test_what_is_wrong_already_may_be_trained_where_it_is(hand):
    label_right(hand)
    objective = IAT(LINEAR, high=0.7, mixed=True)
    found = outcome(hand, objective, rows(epsilon=EPSILONS))
    wrong = np.argmax(hand.logits(hand.x), axis=1) != hand.y
    assert 0 < wrong.sum() < 3
    clean = hand.cross_entropy(hand.logits(hand.x))
    same = np.isclose(found.losses, clean, rtol=1e-5)
    np.testing.assert_array_equal(same, wrong)


def test_wrappers_compose_with_what_learns_from_the_gradient(hand):
    objective = Recorded(Reweighted(Free(Linf(0.1)), by="worst"))
    memory = {
        name: np.zeros((3, *slot.shape))
        for name, slot in objective.slots((3,), 3).items()
    }
    now = objective.at(0, rows(**memory))
    found = now.search(hand.network, hand.x, hand.y)
    before = now.outcome(hand.network, hand.x, hand.y, found)
    gradient = tf.ones([3, 3])
    assert now.watched(found) is found.point
    after = now.after(before, found, gradient)
    np.testing.assert_allclose(after.rows["perturbation"], 1, atol=1e-5)
    np.testing.assert_array_equal(after.rows["recorded"], 1)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Recorded(LINEAR), TypeError, "must be an Objective"),
        (lambda: Recorded(WorstCase(LINEAR), -1), ValueError, "`skip` must"),
        (
            lambda: SelfAdaptive(WorstCase(LINEAR), momentum=2),
            ValueError,
            "`momentum` must lie",
        ),
        (
            lambda: Reweighted(WorstCase(LINEAR), by="mood"),
            ValueError,
            "`by` must be one of clean",
        ),
        (lambda: IAT(LINEAR, high=0.05), ValueError, "`attack` must have one"),
        (lambda: IAT(LINEAR, high=0.2, beta=3), ValueError, "`beta` must lie"),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_what_a_wrapper_needs_is_said(hand, old):
    with pytest.raises(ValueError, match="applies the loss of `compile`"):
        objective = SelfAdaptive(QUB(LINEAR))
        outcome(hand, objective, rows(targets=old))
    with pytest.raises(ValueError, match="needs a loss of class labels"):
        objective = SelfAdaptive(WorstCase(LINEAR)).bind(tfr.losses.KL())
        outcome(hand, objective, rows(targets=old))
    with pytest.raises(ValueError, match="`warmup` counts visits"):
        outcome(hand, Reweighted(WorstCase(LINEAR), "worst", warmup=2), {})
    with pytest.raises(ValueError, match="remember under different names"):
        Recorded(Recorded(WorstCase(LINEAR))).slots((3,), 3)
    assert set(SelfAdaptive(ATTA(Linf(0.1))).slots((3,), 3)) == {
        "targets",
        "perturbation",
        "radius",
    }
