import numpy as np
import pytest

from tfrobust import schedules
from tfrobust.attacks import PGD
from tfrobust.objectives import TRADES
from tfrobust.threats import Linf

ATTACK = PGD(Linf(0.1), steps=8)


@pytest.mark.parametrize("beta", [3.0, schedules.Ramp(0.0, 6.0, end=10)])
def test_the_loss_is_clean_cross_entropy_plus_beta_times_kl(hand, beta):
    now = TRADES(ATTACK, beta).at(5)
    found = now.search(hand.network, hand.x, hand.y)
    clean, worst = hand.logits(hand.x), hand.logits(np.asarray(found))
    expected = hand.cross_entropy(clean) + 3 * hand.kl(clean, worst)
    outcome = now.outcome(hand.network, hand.x, hand.y, found)
    np.testing.assert_allclose(outcome.losses, expected, rtol=1e-4)
    np.testing.assert_allclose(outcome.clean, clean, rtol=1e-5)
    np.testing.assert_allclose(outcome.worst["pgd8"], worst, rtol=1e-5)


def test_the_loss_may_be_that_of_the_worst_point(hand):
    now = TRADES(ATTACK, 3.0, adversarial=True).at(5)
    found = now.search(hand.network, hand.x, hand.y)
    clean, worst = hand.logits(hand.x), hand.logits(np.asarray(found))
    expected = hand.cross_entropy(worst) + 3 * hand.kl(clean, worst)
    values = now.outcome(hand.network, hand.x, hand.y, found).losses
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_its_attack_ascends_the_divergence(hand):
    found = TRADES(ATTACK).search(hand.network, hand.x, hand.y)
    clean = hand.logits(hand.x)

    def divergence(points):
        return hand.kl(clean, hand.logits(np.asarray(points, np.float64)))

    start = ATTACK.threat.sample(hand.x.astype(np.float32))
    worst = divergence(hand.worst())
    assert np.all(divergence(found) > divergence(start))
    assert divergence(found).mean() > 0.7 * worst.mean()


def test_labels_play_no_part_in_its_search(hand):
    found = [
        TRADES(ATTACK).search(hand.network, hand.x, y)
        for y in (hand.y, hand.y[::-1])
    ]
    np.testing.assert_array_equal(*found)
