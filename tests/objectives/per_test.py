import math

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import schedules
from tfrobust.backend import keras
from tfrobust.objectives import Clean
from tfrobust.objectives.per import PER
from tfrobust.threats import L2, Linf
from tfrobust.verifiers.polyhedral_envelope import PolyhedralEnvelope

ENVELOPE = PolyhedralEnvelope(L2(0.1, -9.0, 9.0))


def hinge(hand, alpha, hyperplanes):
    """Of a linear network, whose margins are their own bounds."""
    logits = hand.logits(hand.x)
    gaps = logits[np.arange(3), hand.y][:, np.newaxis] - logits
    slopes = hand.kernel.T[hand.y][:, np.newaxis] - hand.kernel.T
    lengths = np.linalg.norm(slopes, axis=-1)
    others = np.arange(3) != hand.y[:, np.newaxis]
    distances = np.full((3, 3), math.inf)
    distances[others] = gaps[others] / lengths[others]
    assert np.any(distances < 0)
    nearest = np.sort(distances, axis=1)[:, :hyperplanes]
    return np.maximum(0, 1 - nearest / alpha).sum(axis=1)


@pytest.mark.parametrize("hyperplanes", [1, 2, 9])
def test_the_loss_adds_how_far_hyperplanes_are_nearer_than_alpha(
    hand, hyperplanes
):
    objective = PER(ENVELOPE, 0.8, 0.5, hyperplanes)
    found = objective(hand.network, hand.x, hand.y)
    expected = hand.cross_entropy(hand.logits(hand.x))
    expected += 0.5 * hinge(hand, 0.8, hyperplanes)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_part_of_the_batch_stands_for_all_of_it(hand):
    alpha = schedules.Ramp(0.0, 0.8, end=10)
    objective = PER(ENVELOPE, alpha, 0.5, examples=2)
    expected = hand.cross_entropy(hand.logits(hand.x))
    found = objective(hand.network, hand.x, hand.y, step=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    expected[:2] += 0.5 * 1.5 * hinge(hand, 0.4, 1)[:2]
    found = objective(hand.network, hand.x, hand.y, step=5)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gradients_stay_finite_where_a_network_is_constant(hand):
    hand.network.set_weights([0 * hand.kernel, hand.bias])
    with tf.GradientTape() as tape:
        losses = PER(ENVELOPE, 0.8)(hand.network, hand.x, hand.y)
    for slope in tape.gradient(losses, hand.network.trainable_variables):
        assert np.all(np.isfinite(slope))


def test_training_with_it_makes_certified_radii_larger():
    # Four clusters, 0.5 apart in two features; the other two are noise.
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 2, (128, 2))
    x = rng.random((128, 4)).astype(np.float32)
    x[:, :2] = 0.15 + 0.6 * corner + 0.1 * x[:, :2]
    y = corner[:, 0] ^ corner[:, 1]
    verifier, radii = PolyhedralEnvelope(Linf(0.2)), []
    for objective in (Clean(), PER(verifier, 0.2, 1.0, examples=16)):
        keras.utils.set_random_seed(1)
        network = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(16, activation="relu"),
                keras.layers.Dense(2),
            ]
        )
        model = tfr.RobustModel(network)
        model.compile(keras.optimizers.Adam(0.02), objective=objective)
        model.fit(x, y, epochs=30, batch_size=32, verbose=0)
        radii.append(np.mean(verifier.radius(network, x, y)))
    assert radii[1] > 1.1 * radii[0] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"alpha": 0.0},
        {"gamma": -0.1},
        {"hyperplanes": 0},
        {"examples": 0},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must"):
        PER(ENVELOPE, **{"alpha": 0.1, **arguments})


def test_its_schedules_and_its_verifier_are_found():
    ramp = schedules.Ramp(0.0, 0.1, end=5)
    objective = PER(PolyhedralEnvelope(Linf(ramp)), ramp)
    assert objective.adversaries() == {"polyhedralenvelope": objective.verifier}
    written = keras.saving.serialize_keras_object(objective)
    copy = keras.saving.deserialize_keras_object(written)
    assert repr(copy.at(5)) == repr(objective.at(5))
