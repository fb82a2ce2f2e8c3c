"""GloRo: its constants, its loss, and what it makes of a network."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.objectives.glo_ro import pair_constants

pytestmark = pytest.mark.one_keras

layers = keras.layers


def network(seed=0, activation="relu"):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 2, strides=2, activation=activation),
            layers.Flatten(),
            layers.Dense(8, activation=activation),
            layers.Dense(3),
        ]
    )


def constants(model):
    """Lipschitz constants of the differences of logits, from SVDs."""
    conv, _, dense, last = (
        np.asarray(w, np.float64) for w in model_kernels(model)
    )
    slope = 0.25 if "sigmoid" in str(model.layers[0].activation) else 1.0
    convolved = np.linalg.norm(conv.reshape(4, 3), 2)  # No window overlaps.
    before = slope**2 * convolved * np.linalg.norm(dense, 2)
    rows = last.T
    return before * np.linalg.norm(rows[:, np.newaxis] - rows, axis=2)


def model_kernels(model):
    conv, bias, dense, _, last, _ = model.get_weights()
    return conv, bias, dense, last


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_the_constants_are_products_of_singular_values(activation):
    model = network(activation=activation)
    x = tf.zeros([2, 4, 4, 1])
    found = pair_constants(model, x, iterations=50)
    expected = constants(model)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    few = np.asarray(pair_constants(model, x, iterations=1))
    off = ~np.eye(3, dtype=bool)
    assert np.all(few[off] <= found.numpy()[off] * 1.000001)


def test_every_step_starts_elsewhere_so_that_nothing_stays_unseen():
    image, score = keras.Input((20,)), keras.layers.Dense(20)
    out = keras.layers.Dense(2)
    model = keras.Sequential([image, score, keras.layers.ReLU(), out])
    out.set_weights([np.eye(20, 2), np.zeros(2)])
    # One direction is lengthened: the last of a basis, the first of which is
    # where the first step starts.
    start = tf.random.stateless_normal([1, 1, 20], [20, 0]).numpy().ravel()
    basis, _ = np.linalg.qr(np.stack([start, *np.eye(20)[1:]], axis=1))
    hidden = basis[:, -1]
    kernel = 0.01 * np.eye(20) + np.outer(hidden, hidden)
    score.set_weights([kernel, np.zeros(20)])
    x = tf.zeros([1, 20])
    found = [
        pair_constants(model, x, 1, step)[0, 1] / np.sqrt(2)
        for step in range(3)
    ]
    assert found[0] < 0.02
    np.testing.assert_allclose(found[1:], 1.01, rtol=1e-3)


def test_the_loss_is_cross_entropy_with_one_class_more():
    model = network()
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(6, 4, 4, 1)).astype(np.float32)
    y = np.arange(6) % 3
    objective = tfr.objectives.GloRo(tfr.threats.L2(0.3), iterations=50)
    logits = np.asarray(model(x), np.float64)
    best = logits.argmax(axis=1)
    reach = logits + 0.3 * constants(model)[best]
    reach[np.arange(6), best] = -np.inf
    extended = np.concatenate([logits, reach.max(axis=1, keepdims=True)], 1)
    expected = np.log(np.exp(extended).sum(axis=1)) - logits[np.arange(6), y]
    found = objective(model, tf.constant(x), tf.constant(y))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_training_makes_certificates():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = 0.2 + 0.1 * rng.uniform(size=(90, 4, 4, 1)).astype(np.float32)
    x[np.arange(90), y] += 0.5
    threat = tfr.threats.L2(0.3)
    lipschitz = tfr.verifiers.Lipschitz(threat)
    certified = {}
    for name, objective in {
        "plain": tfr.objectives.Clean(),
        "gloro": tfr.objectives.GloRo(threat, weight=1.5),
    }.items():
        model = tfr.RobustModel(network(1, "elu"))
        model.compile(
            keras.optimizers.Adam(0.01),
            objective=objective,
            adversaries={"lipschitz": lipschitz},
        )
        history = model.fit(x, y, batch_size=30, epochs=40, verbose=0).history
        found = model.evaluate(x, y, batch_size=90, verbose=0, return_dict=True)
        certified[name] = found["lipschitz_accuracy"]
    # Power iteration estimates from below, so it may promise a little more.
    assert certified["gloro"] > 0.9 > certified["plain"]
    assert history["gloro_accuracy"][-1] >= certified["gloro"] - 0.1


@pytest.mark.parametrize("iterations", [0, 1.5])
def test_what_is_no_count_is_refused(iterations):
    with pytest.raises((TypeError, ValueError), match="iterations"):
        tfr.objectives.GloRo(tfr.threats.L2(0.3), iterations=iterations)


def test_another_norm_is_refused():
    with pytest.raises(TypeError, match="must be an? L2"):
        tfr.objectives.GloRo(tfr.threats.Linf(0.3))
