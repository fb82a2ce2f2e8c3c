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


class Shifted(tfr.Attack):
    """Moves every input by the same vector, and remembers what it saw."""

    def __init__(self, threat, move):
        self.threat, self.move = threat, move

    def _perturb(self, model, x, y, start, step):
        return x + self.move


def test_half_of_the_batch_is_measured_from_where_an_attack_led(hand):
    threat = L2(0.1, -9.0, 9.0)
    move = np.linspace(-0.05, 0.05, hand.x.shape[1]).astype(np.float32)
    attack = Shifted(threat, tf.constant(move))
    x, y = np.tile(hand.x, [2, 1]), np.tile(hand.y, 2)
    objective = PER(ENVELOPE, 0.8, 0.5, examples=4, attack=attack)
    found = objective(hand.network, tf.constant(x), tf.constant(y))
    point = x.copy()
    point[2:5] += move  # Half of six, from half of the four that are bounded.
    logits = hand.logits(point)
    gaps = logits[np.arange(6), y][:, np.newaxis] - logits
    slopes = hand.kernel.T[y][:, np.newaxis] - hand.kernel.T
    lengths = np.linalg.norm(slopes, axis=-1)
    others = np.arange(3) != y[:, np.newaxis]
    nearest = (gaps[others] / lengths[others]).reshape(6, 2).min(axis=1)
    hinge = np.maximum(0, 1 - nearest / 0.8)
    labels = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), y]
    labels[:4] += 0.5 * 1.5 * hinge[:4]
    np.testing.assert_allclose(found, labels, rtol=1e-4)


def test_evaluation_leaves_a_trained_model_as_it_is():
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 4)).astype(np.float32), np.arange(24) % 3
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization()]
    layers += [keras.layers.ReLU(), keras.layers.Dense(3)]
    model = tfr.RobustModel(keras.Sequential([keras.Input((4,)), *layers]))
    pgd, envelope = tfr.attacks.PGD(Linf(0.1)), PolyhedralEnvelope(Linf(0.1))
    model.compile(
        keras.optimizers.Adam(0.01),
        objective=PER(envelope, 0.1, examples=8, attack=pgd),
        adversaries={"pgd": pgd, "envelope": envelope},
    )
    model.fit(x, y, batch_size=8, verbose=0)
    optimizer = model.optimizer.variables
    optimizer = optimizer() if callable(optimizer) else optimizer

    def state():
        return [np.array(v) for v in [*model.network.variables, *optimizer]]

    before = state()
    model.evaluate(x, y, batch_size=8, verbose=0)
    tfr.evaluate(model, (x, y), {"pgd": pgd}, verbose=0)
    tfr.certify(model, (x, y), envelope, verbose=0)
    for old, new in zip(before, state(), strict=True):
        np.testing.assert_array_equal(old, new)
