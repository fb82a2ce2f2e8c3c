"""Verifiers inside `fit`: certified training and certified accuracy."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras


def clouds(count=256):
    """Two classes, split by the sign of a sum, in four dimensions."""
    x = np.random.default_rng(0).random((count, 4)).astype(np.float32)
    y = (x.sum(axis=1) > 2).astype(np.int64)
    return x, y


def network(width=16, depth=2):
    return keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(width, "relu") for _ in range(depth)),
            keras.layers.Dense(2),
        ]
    )


def certified(verifier, model, x, y):
    margins = verifier.margins(model.network, x, y).numpy()
    margins[np.arange(len(y)), y] = np.inf
    return np.mean(margins.min(axis=1) > 0)


def trained(objective):
    keras.utils.set_random_seed(1)
    # Deep enough for bounds to be loose unless they are trained.
    model = tfr.RobustModel(network(32, 4))
    model.compile(keras.optimizers.Adam(0.01), objective=objective)
    model.fit(*clouds(), epochs=15, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="module")
def clean():
    return trained(tfr.objectives.Clean())


@pytest.mark.parametrize("verifier", ["IBP", "CROWNIBP"])
def test_training_on_bounds_raises_what_is_certified(verifier, clean):
    x, y = clouds()
    bounds = getattr(tfr.verifiers, verifier)
    final = bounds(tfr.threats.Linf(0.05))
    ramp = tfr.schedules.Ramp(0.0, 0.05, begin=20, end=60)
    model = trained(
        tfr.objectives.WorstCase(bounds(tfr.threats.Linf(ramp)), mix=0.8)
    )
    share = certified(final, model, x, y)
    assert share > certified(final, clean, x, y) + 0.1
    assert share > 0.6


def test_fit_reports_certified_accuracy_below_attacked_accuracy():
    x, y = clouds(64)
    threat = tfr.threats.Linf(0.05)
    model = tfr.RobustModel(network())
    model.compile(
        "adam",
        objective=tfr.objectives.Clean(),
        adversaries={
            "crown": tfr.verifiers.CROWN(threat),
            "pgd": tfr.attacks.PGD(threat),
        },
    )
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    accuracy, pgd, crown = (
        history[f"val_{name}accuracy"][0] for name in ("", "pgd_", "crown_")
    )
    assert crown <= pgd <= accuracy
    margins = tfr.verifiers.CROWN(threat).margins(model.network, x, y)
    expected = np.mean(np.argmax(-margins.numpy(), axis=1) == y)
    assert crown == pytest.approx(expected)


@pytest.mark.parametrize("verifier", ["IBP", "CROWN", "CROWNIBP", "FastLin"])
def test_gradients_of_bounds_reach_every_weight(verifier):
    x, y = clouds(8)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Reshape((2, 2, 1)),
            keras.layers.Conv2D(3, 2, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="sigmoid"),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    for variable in model.trainable_variables:
        noise = np.random.default_rng(3).normal(size=variable.shape)
        variable.assign(variable + 0.1 * noise)
    bounds = getattr(tfr.verifiers, verifier)(tfr.threats.Linf(0.1))

    @tf.function(autograph=False)
    def loss():
        margins = bounds.margins(model, tf.constant(x), tf.constant(y))
        return tf.reduce_sum(margins)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, model.trainable_variables)
    assert np.isfinite(value)
    for variable, gradient in zip(
        model.trainable_variables, gradients, strict=True
    ):
        # Held against a finite difference in the gradient's own direction.
        direction = gradient / tf.norm(gradient)
        before = np.array(variable)
        ends = []
        for sign in (1, -1):
            variable.assign(before + sign * 1e-3 * direction)
            ends.append(float(loss()))
        variable.assign(before)
        slope = (ends[0] - ends[1]) / 2e-3
        assert slope == pytest.approx(float(tf.norm(gradient)), rel=0.05)
