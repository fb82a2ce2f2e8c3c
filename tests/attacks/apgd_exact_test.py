import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks.apgd import APGD
from tfrobust.attacks.momentum_rule import MomentumRule
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
X = RNG.uniform(0.1, 0.9, (8, 4)).astype(np.float32)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 3
W2 = RNG.normal(size=(6, 5)).astype(np.float32)
SIGN = np.where(RNG.uniform(size=8) < 0.5, 1.0, -1.0).astype(np.float32)


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


def binary(x, training=False):
    return x @ np.stack([0 * W1[:, 0], W1[:, 0]], axis=1)


Y = np.argmax(curved(X), axis=1)


def check_on_a_line(threat, margin, **options):
    """Checks the loss on a linear model against its worst margin."""
    y = (SIGN > 0).astype(int)
    attack = APGD(threat, early_stop=False, **options)
    found = attack.perturb(binary, X, y)
    loss = losses.cross_entropy(y, binary(found))
    margin = margin.astype(np.float64)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-margin)), rtol=1e-3)


@pytest.mark.parametrize(("norm", "order"), [(Linf, 1), (L2, 2), (L1, np.inf)])
def test_on_a_linear_model_it_attains_the_dual_norm(norm, order):
    dual = np.linalg.norm(W1[:, 0], order)
    margin = SIGN * (X @ W1[:, 0]) - 0.7 * dual
    check_on_a_line(norm(0.7, low=-9.0, high=9.0), margin, steps=10)


@pytest.mark.parametrize(
    ("norm", "multi_epsilon"),
    [(Linf, False), (L2, False), (L1, False), (Linf, True), (L1, True)],
)
def test_on_a_linear_model_it_attains_the_support_within_the_range(
    norm, multi_epsilon
):
    threat = norm(0.7)
    support = threat.support(X, -SIGN[:, np.newaxis] * W1[:, 0]).numpy()
    margin = SIGN * (X @ W1[:, 0]) - support
    check_on_a_line(threat, margin, steps=20, multi_epsilon=multi_epsilon)


def by_hand(x, point, label, threat, steps):
    """Algorithm 1 under linf for one example: its best point, and the sizes."""
    x, w1, w2 = (np.asarray(a, np.float64) for a in (x, W1, W2))
    epsilon, low, high = threat.epsilon, threat.low, threat.high

    def measure(point):
        hidden = point @ w1
        logits = np.sin(hidden) @ w2
        p = np.exp(logits) / np.sum(np.exp(logits))
        error = p - np.eye(5)[label]
        return -np.log(p[label]), (error @ w2.T * np.cos(hidden)) @ w1.T

    def project(point):
        point = np.clip(point, x - epsilon, x + epsilon)
        return np.clip(point, low, high)

    size, loss = 2 * epsilon, np.inf
    best, best_loss, checked = point, -np.inf, -np.inf
    previous, rises, last, halved = point, 0, 0, False
    sizes = []
    for k in range(steps):
        value, gradient = measure(point)
        rises, loss = rises + (value > loss), value
        if value > best_loss:
            best, best_loss, best_gradient = point, value, gradient
        if k in MomentumRule.checkpoints(steps):
            stuck = not halved and checked == best_loss
            halved = stuck or rises <= 0.75 * (k - last)
            if halved:
                size, point, loss = size / 2, best, best_loss
                gradient = best_gradient
            rises, last, checked = 0, k, best_loss
        ahead = project(point + size * np.sign(gradient)) - point
        a = 0.75 if k else 1.0
        point, previous = (
            project(point + a * ahead + (1 - a) * (point - previous)),
            point,
        )
        sizes.append(size)
    value, _ = measure(point)
    return point if value > best_loss else best, sizes


def test_it_is_algorithm_1_done_by_hand():
    starts = []

    def spy(x, training=False):
        starts.append(np.asarray(x, np.float64))
        return curved(x)

    # So wide that the first steps overshoot.
    threat = Linf(0.9, low=-1.0, high=2.0)
    attack = APGD(threat, early_stop=False, steps=14)
    found = attack.perturb(spy, X, Y)
    for i in range(8):
        expected, sizes = by_hand(X[i], starts[0][i], Y[i], threat, steps=14)
        np.testing.assert_allclose(found[i], expected, atol=1e-4)
        assert sizes[0] == 1.8 and sizes[-1] < 0.3
