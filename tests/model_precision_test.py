"""Mixed precision: layers compute in 16 bits, attacks in 32."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
LINF = tfr.threats.Linf(0.1)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.mixed_precision.set_global_policy("float32")


def compiled(optimizer):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    # From 0 to 0.1 at the second step: the loss shows whether it moved.
    epsilon = tfr.schedules.Ramp(0.0, 0.1, end=1)
    attack = tfr.attacks.PGD(tfr.threats.Linf(epsilon), steps=2)
    model.compile(
        optimizer,
        objective=tfr.objectives.WorstCase(attack),
        adversaries={"pgd": tfr.attacks.PGD(LINF, steps=2)},
    )
    return model


def test_mixed_precision_trains_and_attacks_in_float32(policy, tmp_path):
    model = compiled(keras.optimizers.SGD(0.5))
    scaled = type(model.optimizer).__name__.startswith("LossScaleOptimizer")
    assert scaled == (policy == "mixed_float16")
    before = model.get_weights()[0]
    logs = model.fit(
        X, Y, batch_size=10, verbose=0, validation_data=(X, Y)
    ).history
    assert np.all(np.isfinite(list(logs.values())))
    assert int(model.optimizer.iterations) == 2
    # The loss scale is divided out again: a step of ordinary size.
    moved = np.max(np.abs(model.get_weights()[0] - before))
    assert 1e-3 < moved < 1
    assert model.network(X).dtype == policy.removeprefix("mixed_")
    points = tfr.attacks.PGD(LINF, steps=2).perturb(model.network, X, Y)
    assert points.dtype == tf.float32
    assert np.all(LINF.contains(X, points))
    assert np.any(points.numpy() != points.numpy().astype("float16"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
    for one, other in zip(
        model.get_weights(), loaded.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_schedule_and_averages_see_through_the_loss_scale(policy):
    optimizer = keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5)
    model = compiled(optimizer)
    losses = []
    for _ in range(3):
        losses.append(model.train_on_batch(X, Y)[0])
        raw = model.get_weights()[0]
    assert losses[1] > losses[0]
    with model.averaged():
        assert np.any(model.get_weights()[0] != raw)
    np.testing.assert_array_equal(model.get_weights()[0], raw)
