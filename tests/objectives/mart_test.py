import numpy as np
import pytest

from tfrobust import schedules
from tfrobust.objectives import MART


@pytest.mark.parametrize("beta", [3.0, schedules.Ramp(0.0, 6.0, end=10)])
def test_the_loss_is_boosted_cross_entropy_plus_weighted_kl(hand, beta):
    clean, worst = hand.logits(hand.x), hand.logits(hand.worst())
    wrong = np.where(np.eye(3)[hand.y] == 1, 0, hand.softmax(worst)).max(1)
    boosted = hand.cross_entropy(worst) - np.log(1.0001 - wrong)
    doubt = 1.0000001 - hand.softmax(clean)[np.arange(3), hand.y]
    expected = boosted + 3 * hand.kl(clean, worst) * doubt
    values = MART(hand.attack, beta)(hand.network, hand.x, hand.y, step=5)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_a_certain_network_has_a_finite_loss(hand):
    hand.network.set_weights([1e4 * hand.kernel, hand.bias])
    values = MART(hand.attack)(hand.network, hand.x, hand.y)
    assert np.all(np.isfinite(values))
