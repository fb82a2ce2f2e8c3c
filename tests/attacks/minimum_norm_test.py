import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import APGD, PGD, Ensemble, MinimumNorm, Square
from tfrobust.threats import L1, L2, Box, Linf

pytestmark = pytest.mark.keras_free

DUAL = {Linf: 1, L2: 2, L1: np.inf}
RNG = np.random.default_rng(6)
W = RNG.normal(size=6).astype(np.float32)
# The boundary's distance in each norm is LEAD / |W|; one is wrong already, and
# one out of reach.
LEAD = np.array([-0.02, -0.1, -0.2, -0.4, -9.0, 0.3, -0.3])
X = RNG.uniform(-1, 1, (7, 6))
X += ((LEAD - X @ W) / np.sum(W**2))[:, np.newaxis] * W
X = X.astype(np.float32)
Y = np.zeros(7, int)


def linear(x, training=False):
    assert x.shape[0] != 0
    lead = tf.linalg.matvec(x, W)
    return tf.stack([0 * lead, lead], axis=1)


def free(norm, epsilon):
    return norm(epsilon, low=-99, high=99)


@pytest.mark.parametrize("norm", list(DUAL))
def test_on_a_linear_model_it_finds_the_distance_of_the_boundary(norm):
    distance = -LEAD / np.linalg.norm(W, DUAL[norm])
    threat = free(norm, 2 * distance[3])
    attack = MinimumNorm(APGD(threat, steps=15), steps=12)
    perturb = tf.function(attack.perturb, autograph=False)
    found = perturb(linear, X, Y)
    lengths = threat.distance(X, found).numpy()
    right = losses.margin(Y, linear(found)).numpy() <= 0
    np.testing.assert_array_equal(right, np.arange(7) == 4)
    assert lengths[5] == 0
    near = [0, 1, 2, 3, 6]
    assert np.all(lengths[near] >= distance[near] * (1 - 1e-4))
    excess = lengths[near] - distance[near]
    assert np.all(excess <= threat.epsilon * 2**-12 + 0.01 * distance[near])


def test_each_example_has_an_epsilon_of_its_own_to_begin_with():
    threat = free(Linf, np.full(7, 1.0))
    epsilon = np.array([1.0, 0.01, 1.0, 0.01, 1, 1, 1.0], np.float32)
    attack = MinimumNorm(PGD(threat.replace(epsilon=epsilon), 9), steps=8)
    found = attack.perturb(linear, X, Y)
    lengths = threat.distance(X, found).numpy()
    wrong = losses.margin(Y, linear(found)).numpy() > 0
    np.testing.assert_array_equal(wrong, [1, 0, 1, 0, 0, 1, 1])
    np.testing.assert_allclose(lengths[[1, 3]], 0.01, rtol=1e-3)
    distance = 0.2 / np.sum(np.abs(W))
    np.testing.assert_allclose(lengths[2], distance, atol=2**-8)


def test_of_what_withstands_it_answers_the_point_of_full_epsilon():
    attack = PGD(free(L2, 0.5), steps=3)
    full = attack.perturb(linear, X[4:5], Y[:1])
    found = MinimumNorm(attack, steps=2).perturb(linear, X[4:5], Y[:1])
    np.testing.assert_array_equal(found, full)


@pytest.mark.parametrize(
    "make",
    [
        lambda threat: Square(threat, queries=30),
        lambda threat: Ensemble([PGD(threat, 2), Square(threat, queries=9)]),
    ],
    ids=["square", "ensemble"],
)
def test_any_attack_is_bisected_in_one_trace_whatever_the_batch(make):
    attack, traces = MinimumNorm(make(free(Linf, 0.4)), steps=7), []

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, 6]),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([]),
        ],
    )
    def perturb(x, y, epsilon):
        traces.append(epsilon)
        threat = free(Linf, 1.0).replace(epsilon=epsilon)
        return attack.against(threat).perturb(linear, x, y)

    together = perturb(X, Y, 0.4).numpy()
    for rows in (slice(0, 1), slice(1, 7)):
        alone = perturb(X[rows], Y[rows], 0.4)
        np.testing.assert_allclose(alone, together[rows], atol=1e-5)
    lengths = np.max(np.abs(together - X), axis=1)
    distance = -LEAD / np.sum(np.abs(W))
    near = [0, 1, 2, 3, 6]
    assert np.all(losses.margin(Y, linear(together)).numpy()[near] > 0)
    assert np.all(lengths[near] >= distance[near] - 1e-6)
    assert np.all(lengths[near] < 0.8 * 0.4)
    np.testing.assert_array_equal(perturb(X, Y, 0.0), X)
    assert len(traces) == 1


def test_it_is_not_for_an_epsilon_of_each_feature():
    attack = PGD(Box(np.full((2, 3), 0.1)))
    with pytest.raises(ValueError, match="one epsilon, or one for each"):
        MinimumNorm(attack)


def test_it_halves_at_least_once():
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        MinimumNorm(PGD(Linf(0.1)), steps=0)
