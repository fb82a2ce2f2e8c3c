"""Loss fusion: above the loss everywhere, tight where it should be."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

LossFusion, CROWNIBP = tfr.objectives.LossFusion, tfr.verifiers.CROWNIBP
RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, size=(8, 5)).astype(np.float32)
Y = np.arange(8) % 4


def network(seed=0, scale=1.0):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(12, "relu"), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    model.set_weights([scale * weight for weight in model.get_weights()])
    return model


def entropy(logits, y=Y):
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]


def bound(model, epsilon, **options):
    verifier = CROWNIBP(tfr.threats.Linf(epsilon))
    return np.asarray(LossFusion(verifier, **options)(model, X, Y))


@pytest.mark.parametrize("scale", [1.0, 6.0])
@pytest.mark.parametrize("epsilon", [0.01, 0.2])
def test_no_point_has_a_larger_loss(scale, epsilon):
    model, threat = network(scale=scale), tfr.threats.Linf(epsilon)
    found = bound(model, epsilon)
    points = [tfr.attacks.PGD(threat, 20).perturb(model, X, tf.constant(Y))]
    points += [threat.sample(tf.constant(X), seed) for seed in range(100)]
    for point in points:
        assert np.all(entropy(model(point)) <= found)


def test_without_a_threat_it_is_the_loss():
    model = network(scale=2.0)
    np.testing.assert_allclose(bound(model, 0.0), entropy(model(X)), atol=1e-3)


def test_it_is_never_above_the_loss_of_interval_bounds():
    model = network(scale=2.0)
    margins = tfr.verifiers.IBP(tfr.threats.Linf(0.1)).margins(model, X, Y)
    assert np.all(bound(model, 0.1) <= entropy(-margins) + 1e-4)
    assert np.all(bound(model, 0.1) > entropy(model(X)))


def test_the_mixture_is_with_the_clean_loss():
    model = network()
    fused, clean = bound(model, 0.1), entropy(model(X))
    expected = 0.25 * fused + 0.75 * clean
    np.testing.assert_allclose(bound(model, 0.1, mix=0.25), expected, rtol=1e-4)


def test_training_raises_the_certified_margin():
    x = np.concatenate([X, X]) * 0.3
    y = np.concatenate([Y, Y])
    x[np.arange(16), y] += 0.6
    crown, least = tfr.verifiers.CROWN(tfr.threats.Linf(0.25)), {}
    for name, objective in {
        "clean": tfr.objectives.Clean(),
        "fused": LossFusion(CROWNIBP(tfr.threats.Linf(0.25))),
    }.items():
        model = tfr.RobustModel(network(1))
        model.compile(keras.optimizers.Adam(0.02), objective=objective)
        history = model.fit(x, y, batch_size=8, epochs=60, verbose=0).history
        margins = np.array(crown.margins(model.network, x, y))
        margins[np.arange(16), y] = np.inf
        least[name] = np.mean(margins.min(axis=1) > 0)
    assert least["fused"] > least["clean"]
    assert set(history) == {"accuracy", "loss"}


def test_another_loss_is_refused():
    model = tfr.RobustModel(network())
    smooth = tfr.losses.CrossEntropy(label_smoothing=0.1)
    objective = LossFusion(CROWNIBP(tfr.threats.Linf(0.1)))
    model.compile("sgd", loss=smooth, objective=objective)
    with pytest.raises(ValueError, match="`loss` must be tfr.losses.CrossEnt"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(TypeError, match="`verifier` must be"):
        LossFusion(tfr.attacks.PGD(tfr.threats.Linf(0.1)))
