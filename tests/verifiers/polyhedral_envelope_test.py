import math

import numpy as np
import pytest
import tensorflow as tf

from tests.threats.hyperplane_distance_test import solved
from tests.verifiers.conftest import (
    chain,
    layers,
    little_rounding,
    randomize,
)
from tfrobust import attacks, schedules
from tfrobust.backend import keras
from tfrobust.threats import L1, L2, Linf
from tfrobust.verifiers import CROWN, CROWNIBP, FastLin
from tfrobust.verifiers.polyhedral_envelope import PolyhedralEnvelope

NORMS = {1.0: L1, 2.0: L2, math.inf: Linf}
EPSILON = {1.0: 1.5, 2.0: 0.8, math.inf: 0.4}
RNG = np.random.default_rng(7)
X = RNG.uniform(-0.2, 1.2, (6, 5)).clip(0, 1).astype(np.float32)

every_order = pytest.mark.parametrize("order", list(NORMS))


def network(*widths, seed=0):
    """A ReLU network of 5 inputs and 4 classes with random weights."""
    model = chain((5,), *(layers.Dense(w, activation="relu") for w in widths))
    rng = np.random.default_rng(seed)
    randomize(model, rng)
    # Every class shall win somewhere.
    bias = model.layers[-1].bias
    bias.assign_sub(np.mean(model(rng.uniform(size=(99, 5))), axis=0))
    return model


def predictions(model, x=X):
    return np.argmax(model(x), axis=1)


def others(y, classes=4):
    """Where a class isn't the label."""
    return np.arange(classes) != np.reshape(y, [-1, 1])


def linear_margins(kernel, bias, y):
    """Normals and constants of the margins, in float64."""
    kernel, bias = kernel.astype(float).T, bias.astype(float)
    return kernel[y][:, None] - kernel, bias[y][:, None] - bias


def check_exact(
    order, model, kernel, bias, low, high, mask=None, rounding=5e-5
):
    """Holds distances against SciPy's for margins that are linear."""
    y = predictions(model)
    # At 3 labels are wrong, and distances behind a hyperplane negative.
    y[3] = (y[3] + 1) % 4
    threat = NORMS[order](EPSILON[order], low, high, mask)
    envelope = PolyhedralEnvelope(threat)
    distances = envelope.distances(model, X, y).numpy()
    with little_rounding():
        close = envelope.distances(model, X, y).numpy()
    radius = envelope.radius(model, X, y).numpy()
    normals, constants = linear_margins(kernel, bias, y)
    free = np.ones(5) if mask is None else mask
    for k, x in enumerate(X.astype(float)):
        room = free * (low - x), free * (high - x)
        for j in range(4):
            normal = normals[k, j]
            offset = normal @ x + constants[k, j]
            reach = -np.minimum(normal * room[0], normal * room[1]).sum()
            if j == y[k]:
                expected = math.inf
            elif offset < 0:
                dual = {1.0: math.inf, 2.0: 2, math.inf: 1}[order]
                expected = offset / np.linalg.norm(normal, dual)
            elif offset > reach:
                expected = math.inf
            else:
                expected = solved(order, normal, offset, *room)
            if expected <= EPSILON[order]:
                assert distances[k, j] <= expected
            assert close[k, j] == pytest.approx(
                expected, rel=10 * rounding, abs=rounding
            )
    assert radius[3] == 0
    nearest = np.minimum(distances.min(axis=1), np.float32(EPSILON[order]))
    np.testing.assert_allclose(radius, np.maximum(nearest, 0), atol=1e-5)
    return distances


@every_order
def test_distances_of_a_linear_network_are_exact_far_from_the_range(order):
    model = network()
    distances = check_exact(order, model, *model.get_weights(), -99.0, 99.0)
    assert np.all(np.isfinite(distances) == others(np.argmax(distances, 1)))


@every_order
def test_they_are_exact_where_the_range_stops_a_move(order):
    model = network()
    kernel, bias = model.get_weights()
    bias = bias + [3.0, 0.0, 0.0, 0.0]
    model.set_weights([kernel, bias])
    mask = np.array([1, 1, 0, 1, 1], np.float32)
    distances = check_exact(order, model, kernel, bias, 0.0, 1.0, mask)
    assert np.sum(np.isinf(distances)) > len(X)


@every_order
def test_distances_are_exact_where_no_activation_changes_its_sign(order):
    model = network(6, 5, seed=2)
    first, one, second, two, third, three = model.get_weights()
    # Some are alive and some are dead wherever one goes.
    one[:], two[:] = [20, 20, 20, -20, -20, -20], [99, 99, -99, 99, -99]
    model.set_weights([first, one, second, two, third, three])
    # No label may be certain however far one goes.
    three -= np.mean(model(X), axis=0) - [0.3, 0.2, 0.1, 0.0]
    model.set_weights([first, one, second, two, third, three])
    alive = (first * (one > 0)).astype(float) @ (second * (two > 0))
    bias = (one * (one > 0)) @ (second * (two > 0)).astype(float)
    bias = (bias + two * (two > 0)) @ third.astype(float) + three
    kernel = alive @ third.astype(float)
    np.testing.assert_allclose(X @ kernel + bias, model(X), atol=1e-4)
    # Large values round more, and that is taken off.
    check_exact(order, model, kernel, bias, -1.0, 2.0, rounding=5e-4)


@pytest.mark.parametrize(
    ("order", "parallel"),
    [(2.0, False), (math.inf, True)],
)
def test_the_envelope_reaches_epsilon_iff_all_margins_are_positive(
    order, parallel
):
    model, threat = network(8, 7), NORMS[order](EPSILON[order])
    reference = FastLin if parallel else CROWN
    x = np.random.default_rng(8).uniform(size=(200, 5)).astype(np.float32)
    y = predictions(model, x)
    lost, credited = [], []
    for share in (0.1, 0.3, 1.0):
        epsilon = np.float32(share * EPSILON[order])
        over = threat.replace(epsilon=epsilon)
        envelope = PolyhedralEnvelope(over, parallel=parallel)
        margins = reference(over).margins(model, x, y).numpy()[others(y)]
        distances = envelope.distances(model, x, y).numpy()[others(y)]
        # Rounding decides for those that touch.
        clear = np.abs(margins) > 1e-4
        np.testing.assert_array_equal(
            (distances >= epsilon)[clear], (margins > 0)[clear]
        )
        lost.append(np.mean(margins <= 0))
        credited.append(np.mean((margins <= 0) & (distances > 0)))
    assert lost[0] < 0.3 < lost[2] and min(credited) > 0.02


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ({}, CROWN),
        ({"parallel": True}, FastLin),
        ({"tighten": False}, CROWNIBP),
    ],
)
def test_margins_are_those_of_the_verifier_with_the_same_lines(arguments, same):
    model, threat = network(8, 7), Linf(0.2)
    y = predictions(model)
    margins = same(threat).margins(model, X, y)
    envelope = PolyhedralEnvelope(threat, **arguments)
    np.testing.assert_allclose(
        envelope.margins(model, X, y), margins, rtol=1e-5
    )


def test_tightening_makes_a_radius_larger():
    model, threat = network(8, 7, 6), Linf(0.3)
    y = predictions(model)
    tight, loose = (
        PolyhedralEnvelope(threat, tighten=tighten).radius(model, X, y)
        for tighten in (True, False)
    )
    assert np.mean(tight - loose) > 1e-3


@pytest.mark.parametrize("order", [1.0, math.inf])
def test_no_attack_comes_nearer(order):
    model, threat = network(8, 7), NORMS[order](EPSILON[order])
    x = np.random.default_rng(9).uniform(size=(60, 5)).astype(np.float32)
    y = predictions(model, x)
    attack = attacks.PGD(threat, steps=20, loss="margin")

    @tf.function(autograph=False)
    def examine(x, y, epsilon):
        over = threat.replace(epsilon=epsilon)
        point = attack.replace(threat=over).perturb(model, x, y)
        envelope = PolyhedralEnvelope(threat).replace(threat=over)
        wrong = tf.argmax(model(point), axis=1) != y
        norm = tf.where(wrong, over.distance(x, point), math.inf)
        return norm, envelope.radius(model, x, y)

    norms, radii = zip(
        *(examine(x, y, s * EPSILON[order]) for s in np.geomspace(0.02, 1, 9)),
        strict=True,
    )
    nearest, radius = np.min(norms, axis=0), np.max(radii, axis=0)
    assert np.all(radius <= nearest)
    assert np.sum(np.isfinite(nearest)) > 20
    assert np.median(radius / nearest) > 0.5


def test_what_the_range_forbids_does_not_count():
    model, x = network(8), np.clip(X, 0, 1)
    y, found = predictions(model), []
    for low, high in ((0.0, 1.0), (-0.1, 1.1), (-9.0, 9.0)):
        # The same lines, so that distances alone differ.
        envelope = PolyhedralEnvelope(Linf(0.0, low, high))
        found.append(envelope.distances(model, x, y).numpy())
    assert np.all(found[0] >= found[1]) and np.all(found[1] >= found[2])
    assert np.any(found[0] > 1.01 * found[1])


def test_the_range_never_makes_a_radius_smaller():
    model, y = network(8, 7), predictions(network(8, 7))
    inside, outside = (
        PolyhedralEnvelope(L2(0.5, *ends)).radius(model, X, y)
        for ends in ((0.0, 1.0), (-9.0, 9.0))
    )
    assert np.all(inside >= outside) and np.any(inside > outside + 1e-2)


def test_each_example_may_have_its_own_epsilon_and_ignores_its_mates():
    model, y = network(8, 7), predictions(network(8, 7))
    own = np.float32([0.02, 0.1, 0.0, 0.3, 0.05, 0.9])
    together = PolyhedralEnvelope(Linf(own)).radius(model, X, y).numpy()
    assert np.all(together <= own) and together[2] == 0
    assert np.mean(together > 0) > 0.5
    alone = PolyhedralEnvelope(Linf(float(own[3])))
    radius = alone.radius(model, X[3:4], y[3:4])
    np.testing.assert_allclose(radius, together[3:4], rtol=1e-5)


def test_at_epsilon_zero_distances_are_those_of_the_gradient():
    model, y = network(8, 7), predictions(network(8, 7))
    envelope = PolyhedralEnvelope(L2(0.0, -99.0, 99.0))
    with little_rounding():
        distances = envelope.distances(model, X, y).numpy()
    with tf.GradientTape(persistent=True) as tape:
        x = tf.constant(X)
        tape.watch(x)
        logits = model(x)
    slopes = tape.batch_jacobian(logits, x, experimental_use_pfor=False)
    rows = np.arange(len(X))
    gap = logits.numpy()[rows, y][:, None] - logits
    slope = slopes.numpy()[rows, y][:, None] - slopes
    with np.errstate(invalid="ignore"):
        expected = gap / np.linalg.norm(slope, axis=-1)
    apart = others(y)
    np.testing.assert_allclose(distances[apart], expected[apart], atol=3e-5)
    np.testing.assert_array_equal(envelope.radius(model, X, y), 0.0)


@pytest.mark.parametrize("bias", [[1.0, 1.0, 0.5, 0.0], [1.0, 0.9, 0.5, 0.0]])
def test_a_constant_network_is_certain_unless_classes_tie(bias):
    model = network()
    model.set_weights([np.zeros((5, 4)), np.array(bias)])
    radius = PolyhedralEnvelope(Linf(0.3)).radius(model, X, np.zeros(6, int))
    tie = bias[0] == bias[1]
    np.testing.assert_array_equal(radius, np.float32(0.0 if tie else 0.3))
    wrong = PolyhedralEnvelope(Linf(0.3)).radius(model, X, np.ones(6, int))
    np.testing.assert_array_equal(wrong, 0.0)


def test_a_network_that_is_not_a_number_certifies_nothing():
    model = network(8)
    weights = model.get_weights()
    weights[0][0, 0] = math.nan
    model.set_weights(weights)
    y = np.zeros(6, int)
    radius = PolyhedralEnvelope(Linf(0.3)).radius(model, X, y)
    np.testing.assert_array_equal(radius, 0.0)


def test_images_work_as_vectors_do():
    model = chain((4, 4, 1), layers.Conv2D(3, 2, 2, activation="relu"))
    randomize(model, np.random.default_rng(1))
    x = RNG.uniform(size=(3, 4, 4, 1)).astype(np.float32)
    mask = np.arange(16).reshape(4, 4, 1) % 3 > 0
    y = predictions(model, x)
    threat = L2(0.3, mask=mask)
    distances = PolyhedralEnvelope(threat).distances(model, x, y).numpy()
    flat = keras.Sequential(
        [keras.Input((16,)), layers.Reshape((4, 4, 1)), model]
    )
    rows = np.reshape(x, [3, 16])
    flat_threat = L2(0.3, mask=np.reshape(mask, [16]))
    expected = PolyhedralEnvelope(flat_threat).distances(flat, rows, y)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    labels = y[:, np.newaxis]
    again = PolyhedralEnvelope(threat).distances(model, x, labels)
    np.testing.assert_array_equal(again, distances)


def test_gradients_of_distances_reach_every_weight():
    model, y = network(8, 7), predictions(network(8, 7))
    envelope = PolyhedralEnvelope(L2(0.2))

    def loss():
        distances = envelope.distances(model, X, y)
        return tf.reduce_sum(tf.nn.relu(1 - distances))

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(
        model.trainable_variables,
        tape.gradient(value, model.trainable_variables),
        strict=True,
    ):
        direction, before = gradient / tf.norm(gradient), np.array(variable)
        ends = []
        for sign in (1, -1):
            variable.assign(before + sign * 1e-3 * direction)
            ends.append(float(loss()))
        variable.assign(before)
        slope = (ends[0] - ends[1]) / 2e-3
        assert slope == pytest.approx(float(tf.norm(gradient)), rel=0.05)


def test_an_epsilon_for_each_feature_is_refused():
    with pytest.raises(ValueError, match="one epsilon.*Use CROWN"):
        PolyhedralEnvelope(Linf(np.full((1, 5), 0.1)))


def test_it_comes_back_from_its_configuration():
    ramp = schedules.Ramp(0.0, 0.1, end=5)
    envelope = PolyhedralEnvelope(L1(ramp), tighten=False, parallel=True)
    written = keras.saving.serialize_keras_object(envelope)
    copy = keras.saving.deserialize_keras_object(written)
    assert repr(copy.at(5)) == repr(envelope.at(5))
    assert (copy.tighten, copy.parallel) == (False, True)
