import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import FGSM, PGD
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(2)
X = RNG.uniform(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 0, 1, 1, 0])
# Two classes: the second logit is w.x + 0.3, the first is 0.
W = np.array([[0, 1.5], [0, -0.8], [0, 0.4], [0, -2.0]], np.float32)
SIGN = np.where(Y == 1, 1.0, -1.0).astype(np.float32)


def linear(x, training=False):
    return x @ W + [0.0, 0.3]


def dual_norm(threat):
    return np.linalg.norm(W[:, 1], {Linf: 1, L2: 2, L1: np.inf}[threat])


def logistic(margin):
    return np.log1p(np.exp(-np.asarray(margin, np.float64)))


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_on_a_linear_model_it_attains_the_dual_norm(threat):
    free = threat(0.7, low=-9.0, high=9.0)
    found = FGSM(free).perturb(linear, X, Y)
    margin = SIGN * (X @ W[:, 1] + 0.3) - 0.7 * dual_norm(threat)
    loss = losses.cross_entropy(Y, linear(found))
    np.testing.assert_allclose(loss, logistic(margin), rtol=1e-4)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_on_a_linear_model_it_attains_the_support_within_the_range(threat):
    bounded = threat(0.7)
    found = FGSM(bounded).perturb(linear, X, Y)
    coefficients = -SIGN[:, np.newaxis] * W[:, 1]
    margin = SIGN * (X @ W[:, 1] + 0.3) - bounded.support(X, coefficients)
    loss = losses.cross_entropy(Y, linear(found))
    np.testing.assert_allclose(loss, logistic(margin), rtol=1e-4)
    assert found.numpy().min() >= 0
    assert found.numpy().max() <= 1


def test_under_linf_it_is_the_sign_of_the_gradient():
    found = FGSM(Linf(0.1)).perturb(linear, X, Y)
    step = -0.1 * SIGN[:, np.newaxis] * np.sign(W[:, 1])
    np.testing.assert_allclose(found, np.clip(X + step, 0, 1), atol=1e-6)


def test_a_targeted_step_goes_the_other_way():
    towards = FGSM(Linf(0.1), targeted=True).perturb(linear, X, Y)
    away = FGSM(Linf(0.1)).perturb(linear, X, 1 - Y)
    np.testing.assert_array_equal(towards, away)


def test_it_is_one_step_of_pgd_also_at_a_training_step():
    options = {"step_size": 1.25, "random_start": 1.0, "seed": 4}
    single = PGD(Linf(0.1), steps=1, best=False, **options)
    for step in (0, 9):
        one = FGSM(Linf(0.1), **options).at(step).perturb(linear, X, Y)
        same = single.at(step).perturb(linear, X, Y)
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize(
    "options", [{"step_size": 0.0}, {"random_start": 1.5}, {"loss": "mess"}]
)
def test_an_impossible_argument_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options)) + "|mess"):
        FGSM(Linf(0.1), **options)


def test_a_gradient_that_is_no_number_does_not_spread():
    x = np.array([[0.0, 0.5, 0.2]], np.float32)

    def root(x, training=False):
        # The slope at 0 is infinite, and infinity times 0 is not a number.
        return tf.sqrt(x) @ [[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]]

    for threat in (Linf, L2, L1):
        found = FGSM(threat(0.1)).perturb(root, x, [1])
        assert np.all(threat(0.1).contains(x, found))
        assert losses.cross_entropy([1], root(found)) > losses.cross_entropy(
            [1], root(x)
        )
