"""Objectives of fast training, on a linear network by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.objectives.conftest import Passes
from tfrobust import RobustModel
from tfrobust.attacks import FGSM, NFGSM, PGD, FastEGL1
from tfrobust.backend import keras
from tfrobust.objectives import (
    QUB,
    GradAlign,
    NuAT,
    Objective,
    Outcome,
    SingleStep,
    WorstCase,
)
from tfrobust.threats import L1, Linf

LINEAR = FGSM(Linf(0.1))


def test_qub_bounds_the_cross_entropy(hand):
    values = QUB(LINEAR)(hand.network, hand.x, hand.y)
    clean, worst = hand.logits(hand.x), hand.logits(hand.worst())
    gap, onehot = worst - clean, np.eye(3)[hand.y]
    error = hand.softmax(clean) - onehot
    expected = hand.cross_entropy(clean)
    expected += (gap * error).sum(axis=1) + (gap**2).sum(axis=1) / 4
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    at_worst = hand.cross_entropy(worst)
    assert np.all(values > at_worst)
    mixed = QUB(LINEAR, mix=0.25)(hand.network, hand.x, hand.y)
    expected = 0.25 * expected + 0.75 * at_worst
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)


def test_qub_of_a_threat_searches_by_nfgsm():
    attack = QUB(Linf(0.1)).attack
    assert isinstance(attack, NFGSM)
    assert attack.threat.epsilon == 0.1


def gradients(hand, x):
    return hand.error(hand.logits(x)) @ hand.kernel.T


def parts(hand, weight):
    """The losses, the random points, and the cosines of GradAlign."""
    now = GradAlign(LINEAR, weight).at(0)
    found = now.search(hand.network, hand.x, hand.y)
    outcome = now.outcome(hand.network, hand.x, hand.y, found)
    return outcome, found[2].numpy()


def test_grad_align_compares_the_gradient_with_one_nearby(hand):
    outcome, random = parts(hand, 0.7)
    assert np.all(np.abs(random - hand.x) <= 0.1 + 1e-6)
    assert np.min(np.std(random - hand.x, axis=0)) > 0.01
    one, other = gradients(hand, hand.x), gradients(hand, random)
    cosine = (one * other).sum(axis=1)
    cosine /= np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(outcome.reported["cosine"], cosine, rtol=1e-5)
    expected = hand.cross_entropy(hand.logits(hand.worst())) + 0.7 * (
        1 - cosine
    )
    np.testing.assert_allclose(outcome.losses, expected, rtol=1e-5)


def test_grad_align_trains_the_weights(hand):
    kernel = hand.network.trainable_variables[0]

    def gradient(weight):
        with tf.GradientTape() as tape:
            objective = GradAlign(LINEAR, weight)
            values = objective(hand.network, hand.x, hand.y)
            loss = tf.reduce_sum(values)
        return tape.gradient(loss, kernel).numpy()

    found = gradient(1e4) - gradient(0.0)
    expected = np.zeros((3, 3))
    random, original = parts(hand, 1.0)[1], hand.kernel
    fixed = gradients(hand, hand.x)

    def penalty(moved):
        logits = random.astype(float) @ moved + hand.bias
        other = hand.error(logits) @ moved.T
        cosine = (fixed * other).sum(axis=1)
        cosine /= np.linalg.norm(fixed, axis=1) * np.linalg.norm(other, axis=1)
        return 1e4 * (1 - cosine).sum()

    for i in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i] = 1e-6
        rise = penalty(original + step) - penalty(original - step)
        expected[i] = rise / 2e-6
    assert np.max(np.abs(expected)) > 1
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.2)


def test_grad_align_sees_small_gradients_through_float16_layers():
    found = []
    for policy in ("float32", "mixed_float16"):
        layers = [
            keras.layers.Dense(4, "tanh", dtype=policy),
            keras.layers.Dense(2, dtype=policy),
        ]
        network = keras.Sequential([keras.Input((3,)), *layers])
        first = np.arange(12).reshape(3, 4) % 5 - 2
        last = np.array([[1, -1], [0.5, 0], [-1, 2], [1, 1]])
        # Sure to 1e-6, whose gradient float16 rounds to a few of its steps.
        network.set_weights([first, np.zeros(4), last, np.array([14.0, 0])])
        x, y = np.full((1, 3), 0.4, np.float32), np.zeros(1, int)
        now = GradAlign(FGSM(Linf(0.3))).at(0)
        outcome = now.outcome(network, x, y, now.search(network, x, y))
        found.append(float(outcome.reported["cosine"][0]))
    assert found[1] == pytest.approx(found[0], abs=0.01)


def test_grad_align_has_a_finite_gradient_where_the_input_has_none(hand):
    hand.network.set_weights([np.zeros((3, 3)), hand.bias])
    with tf.GradientTape() as tape:
        loss = GradAlign(LINEAR)(hand.network, hand.x, hand.y)
    for gradient in tape.gradient(loss, hand.network.trainable_variables):
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(Linf(0.1), step_size=1.25, random_start=1.0),
        FGSM(Linf(0.1), step_size=0.5, loss="margin"),
        NFGSM(Linf(0.1)),
        FastEGL1(L1(0.3)),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_single_step_is_the_worst_case_and_compares_both_gradients(
    hand, attack
):
    now = SingleStep(attack).at(7)
    found = now.search(hand.network, hand.x, hand.y)
    point = attack.at(7).perturb(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(found.point, point, atol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(now.watched(found))
        outcome = now.outcome(hand.network, hand.x, hand.y, found)
        loss = tf.reduce_mean(outcome.losses)
    expected = WorstCase(attack)(hand.network, hand.x, hand.y, 7)
    np.testing.assert_allclose(outcome.losses, expected, rtol=1e-5)
    gradient = tape.gradient(loss, found.point)
    reported = now.after(outcome, found, gradient).reported["pert_align"]
    one, other = found.gradient.numpy(), gradients(hand, found.point.numpy())
    aligned = (one * other).sum(axis=1)
    aligned /= np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(reported, aligned, rtol=1e-4)
    assert now.after(outcome, found, None) is outcome


def test_fit_logs_how_far_the_gradients_before_and_after_the_step_agree(hand):
    model = RobustModel(hand.network)
    model.compile("sgd", objective=SingleStep(Linf(0.1)))
    logs = model.fit(hand.x, hand.y, verbose=0).history
    assert 0.5 < logs["pert_align"][0] < 1


def test_single_step_takes_attacks_of_one_gradient():
    assert isinstance(SingleStep(Linf(0.1)).attack, NFGSM)
    with pytest.raises(TypeError, match="one step.*Received: attack=PGD"):
        SingleStep(PGD(Linf(0.1)))


@pytest.mark.parametrize("adversarial", [False, True])
def test_nuat_adds_the_nuclear_norm_of_the_batch(hand, adversarial):
    now = NuAT(LINEAR, 2.0, adversarial).at(0)
    found = now.search(hand.network, hand.x, hand.y)
    values = now.outcome(hand.network, hand.x, hand.y, found).losses
    clean, worst = hand.logits(hand.x), hand.logits(found.numpy())
    nuclear = np.linalg.norm(worst - clean, "nuc")
    expected = hand.cross_entropy(worst if adversarial else clean)
    expected += 2.0 * nuclear / 3
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_nuat_ascends_loss_and_nuclear_norm_from_random_signs(hand):
    starts = []

    def watched(x, training=False):
        starts.append(np.array(x))
        return hand.network(x, training=training)

    now = NuAT(LINEAR, 2.0).at(0)
    found = now.search(watched, hand.x, hand.y)
    start = starts[1].astype(float)
    np.testing.assert_allclose(np.abs(start - hand.x), 0.05, atol=1e-6)
    u, _, v = np.linalg.svd(hand.logits(start) - hand.logits(hand.x))
    error = hand.error(hand.logits(start)) + 2.0 * (u @ v) / 3 * 3
    step = np.sign(error @ hand.kernel.T)
    expected = np.clip(start + 0.1 * step, hand.x - 0.1, hand.x + 0.1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "forward", "backward"),
    [(NuAT(LINEAR), 4, 3), (QUB(LINEAR), 3, 3), (GradAlign(LINEAR), 4, 5)],
    ids=["nuat", "qub", "grad-align"],
)
def test_passes_are_as_many_as_it_says(objective, forward, backward):
    counted = Passes()
    dense = keras.layers.Dense
    network = keras.Sequential([keras.Input((3,)), dense(3), counted, dense(3)])
    counted.forward = 0
    x = tf.random.stateless_uniform((3, 3), (0, 1))
    y, now = tf.constant([0, 1, 2]), objective.at(0)
    found = now.search(network, x, y)
    with tf.GradientTape() as tape:
        loss = now.outcome(network, x, y, found).losses
    tape.gradient(loss, network.trainable_variables)
    assert (counted.forward, counted.backward) == (forward, backward)


@pytest.mark.parametrize("found", [None, {"name": "x"}])
def test_a_search_may_find_what_is_no_tensor(hand, found):
    class Mine(Objective):
        def search(self, model, x, y):
            return found

        def outcome(self, model, x, y, found_before):
            assert found_before == found
            return Outcome(model(x)[:, 0])

    values = Mine()(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(values, hand.logits(hand.x)[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: QUB(3), TypeError, "`attack` must be an Attack"),
        (lambda: NuAT(PGD(Linf(0.1))), TypeError, "such as tfr.attacks.FGSM"),
        (lambda: QUB(LINEAR, mix=2), ValueError, "`mix` must lie"),
        (lambda: GradAlign(LINEAR, weight=-1), ValueError, "`weight` must"),
        (
            lambda: GradAlign(FGSM(Linf(0.1), targeted=True)),
            ValueError,
            "must not be targeted",
        ),
        (lambda: NuAT(LINEAR, weight=-1), ValueError, "`weight` must"),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()
