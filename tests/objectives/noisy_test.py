"""Training under noise: formulas, draws, and what smoothing makes of it."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

objectives = tfr.objectives
RNG = np.random.default_rng(0)
X = tf.constant(RNG.uniform(size=(6, 5)), tf.float32)
Y = tf.constant(np.arange(6) % 3)
KERNEL = tf.constant(RNG.normal(size=(5, 3)), tf.float32)
L2 = tfr.threats.L2(0.5)


def linear(x, training=False):
    return x @ KERNEL


def answers(objective, x=X, step=0):
    """Log probabilities of each draw, float64 `[draws, batch, classes]`."""
    noise = np.asarray(objective.at(step)._noise(X), np.float64)
    logits = (np.asarray(x, np.float64) + noise) @ np.asarray(KERNEL, float)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def entropies(logs):
    return -logs[..., np.arange(6), np.asarray(Y)]


def test_noise_is_normal_and_new_in_every_step():
    objective = objectives.Noisy(0.25, draws=400)
    noise = np.asarray(objective._noise(X))
    assert noise.shape == (400, 6, 5)
    assert np.mean(noise) == pytest.approx(0, abs=0.01)
    assert np.std(noise) == pytest.approx(0.25, abs=0.01)
    other = np.asarray(objective.at(1)._noise(X))
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05
    np.testing.assert_array_equal(noise, objective._noise(X))


def test_the_loss_is_the_mean_over_draws():
    objective = objectives.Noisy(0.25, draws=3)
    expected = entropies(answers(objective)).mean(axis=0)
    np.testing.assert_allclose(objective(linear, X, Y), expected, rtol=1e-4)


def test_consistency_adds_disagreement_and_entropy():
    objective = objectives.Consistency(0.5, weight=7.0, entropy=0.3, draws=3)
    logs = answers(objective)
    mean = np.exp(logs).mean(axis=0)
    kl = (mean * (np.log(mean) - logs)).sum(axis=-1).mean(axis=0)
    expected = entropies(logs).mean(axis=0) + 7.0 * kl
    expected += 0.3 * -(mean * np.log(mean)).sum(axis=-1)
    np.testing.assert_allclose(objective(linear, X, Y), expected, rtol=1e-4)
    assert np.all(kl > 0)


def test_the_attack_is_on_the_smoothed_model_with_the_noise_of_the_loss():
    objective = objectives.SmoothAdv(L2, 0.25, draws=2, steps=8)
    point, noise = objective.search(linear, X, Y)
    assert np.all(np.linalg.norm(point - X, axis=1) <= 0.5 + 1e-5)
    np.testing.assert_array_equal(noise, objective._noise(X))

    def loss(x):
        return entropies(np.log(np.exp(answers(objective, x)).mean(axis=0)))

    found = objective(linear, X, Y)
    np.testing.assert_allclose(found, loss(point), rtol=1e-4)
    rivals = [L2.sphere(X, seed) for seed in range(50)]
    assert np.all(
        found > np.max([loss(rival) for rival in rivals], axis=0) - 0.01
    )


def test_a_network_trained_on_noise_is_certified_farther():
    y = np.arange(60) % 2
    x = RNG.uniform(0.4, 0.6, size=(60, 20)).astype(np.float32)
    x[:, 0] += 0.3 * (2 * y - 1)
    x[:, 1:] += 0.02 * (2 * y - 1)[:, np.newaxis]
    radius = {}
    for name, objective in {
        "plain": objectives.Clean(),
        "noisy": objectives.Noisy(0.3),
        "adversarial": objectives.SmoothAdv(L2, 0.3, draws=2, steps=2),
    }.items():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(2)]
        model = tfr.RobustModel(keras.Sequential([keras.Input((20,)), *layers]))
        model.compile(keras.optimizers.Adam(0.02), objective=objective)
        model.fit(x, y, batch_size=20, epochs=40, verbose=0)
        smoothing = tfr.verifiers.RandomizedSmoothing(0.3, n=500, alpha=0.01)
        found = smoothing.decide(model, x[:12], y[:12], verbose=0)
        right = found.prediction == found.y
        radius[name] = np.mean(np.where(right, found.radius, 0.0))
    assert radius["noisy"] > 1.05 * radius["plain"]
    assert radius["adversarial"] > 1.05 * radius["plain"]


def test_arguments_out_of_range_are_refused():
    for make, message in (
        (lambda: objectives.Noisy(-1.0), "`sigma`"),
        (lambda: objectives.Noisy(0.1, draws=0), "`draws` must be at least 1"),
        (lambda: objectives.Consistency(0.1, draws=1), "be at least 2"),
        (lambda: objectives.Consistency(0.1, weight=-1.0), "`weight`"),
        (lambda: objectives.SmoothAdv(L2, 0.1, steps=0), "`steps`"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="`threat` must be a Threat"):
        objectives.SmoothAdv(0.5, 0.1)
