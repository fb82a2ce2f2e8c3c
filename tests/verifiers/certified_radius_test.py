import math

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import (
    chain,
    layers,
    little_rounding,
    randomize,
)
from tfrobust import schedules
from tfrobust.attacks import PGD
from tfrobust.threats import L2, Linf
from tfrobust.verifier import Verifier
from tfrobust.verifiers import CROWN
from tfrobust.verifiers.certified_radius import certified_radius
from tfrobust.verifiers.polyhedral_envelope import PolyhedralEnvelope

TOLERANCE = 1e-3
RNG = np.random.default_rng(11)
X = RNG.uniform(size=(40, 5)).astype(np.float32)


def network(*widths):
    model = chain((5,), *(layers.Dense(w, activation="relu") for w in widths))
    rng = np.random.default_rng(3)
    randomize(model, rng)
    # Every class shall win somewhere.
    bias = model.layers[-1].bias
    bias.assign_sub(np.mean(model(rng.uniform(size=(99, 5))), axis=0))
    return model


@pytest.fixture(scope="module")
def searched():
    """Labels, the last three of them wrong, and radii by two verifiers."""
    model = network(10, 9)
    y = np.argmax(model(X), axis=1)
    y[-3:] = (y[-3:] + 1) % 4
    envelope, crown = (
        certified_radius(model, X, y, verifier(Linf(0.4)), TOLERANCE)
        for verifier in (PolyhedralEnvelope, CROWN)
    )
    return model, y, envelope, crown


def test_both_verifiers_find_the_same_and_the_envelope_with_fewer_calls(
    searched,
):
    _, _, envelope, crown = searched
    gap = envelope.radius - crown.radius
    assert np.all(gap >= -TOLERANCE * (1 + 1e-3))
    # Where bounds aren't monotone in epsilon the envelope leaps over a gap.
    assert np.mean(gap <= TOLERANCE * (1 + 1e-3)) > 0.8
    assert 0.02 < np.mean(envelope.radius) < 0.38
    assert envelope.calls.mean() < crown.calls.mean() - 1


def test_bisection_takes_the_calls_that_the_tolerance_asks_for(searched):
    *_, crown = searched
    halvings = math.ceil(math.log2(0.4 / TOLERANCE))
    open_ = (crown.radius > 0) & (crown.radius < np.float32(0.4))
    assert np.sum(open_) > 10
    np.testing.assert_array_equal(crown.calls[open_], 1 + halvings)


def test_misclassified_inputs_have_radius_0_without_a_call(searched):
    for found in searched[2:]:
        np.testing.assert_array_equal(found.radius[-3:], 0.0)
        np.testing.assert_array_equal(found.calls[-3:], 0)
        assert np.all(found.calls[:-3] > 0)


def test_what_is_reported_is_certified_itself(searched):
    model, y, envelope, crown = searched
    margins = CROWN(Linf(crown.radius)).margins(model, X, y).numpy()
    margins[np.arange(len(y)), y] = math.inf
    assert np.all(margins.min(axis=1)[crown.radius > 0] > -1e-6)
    right, threat = envelope.radius > 0, Linf(envelope.radius)
    for loss in ("margin", "cross_entropy"):
        attack = PGD(threat, steps=40, restarts=3, loss=loss)
        found = np.argmax(model(attack.perturb(model, X, y)), axis=1)
        np.testing.assert_array_equal(found[right], y[right])


class Said(Verifier):
    """A verifier that returns the margins it was given."""

    def __init__(self, threat, margins):
        self.threat, self.given = threat, margins

    def margins(self, model, x, y):
        return tf.tile(tf.constant(self.given)[tf.newaxis], [tf.shape(x)[0], 1])


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, -math.inf])
def test_a_margin_that_is_not_positive_certifies_no_radius(margin):
    def model(x, training=False):
        return x * [1.0, 0.0, 0.0]

    x, y = np.full((2, 3), 0.5, np.float32), np.zeros(2, int)
    for margins, radius in (([0.0, margin, 1.0], 0), ([0.0, 0.5, 1.0], 0.4)):
        verifier = Said(Linf(0.4), np.float32(margins))
        found = certified_radius(model, x, y, verifier, TOLERANCE).radius
        np.testing.assert_array_equal(found, np.float32(radius))


@pytest.mark.parametrize("rival", [0.5, math.nan])
def test_a_tie_and_what_is_no_number_have_no_radius(rival):
    def model(x, training=False):
        return tf.concat([x, 0 * x + rival, 0 * x], axis=1)

    verifier = Said(Linf(0.4), np.float32([0.0, 1.0, 1.0]))
    x, y = np.full((2, 1), 0.5, np.float32), np.zeros(2, int)
    found = certified_radius(model, x, y, verifier, TOLERANCE)
    np.testing.assert_array_equal(found.radius, 0)
    np.testing.assert_array_equal(found.calls, 0)


@pytest.mark.parametrize("verifier", [PolyhedralEnvelope, CROWN])
def test_a_linear_network_gets_its_distance(verifier):
    model = network()
    kernel, bias = (w.astype(float) for w in model.get_weights())
    y = np.argmax(model(X), axis=1)
    normals = kernel.T[y][:, np.newaxis] - kernel.T
    gaps = np.einsum("bcf,bf->bc", normals, X.astype(float)) + (
        bias[y][:, np.newaxis] - bias
    )
    with np.errstate(invalid="ignore"):
        expected = np.nanmin(gaps / np.linalg.norm(normals, axis=-1), axis=1)
    threat = L2(0.3, -9.0, 9.0)
    radius, calls = certified_radius(model, X, y, verifier(threat), TOLERANCE)
    assert np.sum(expected > 0.3) > 2
    inside = expected < 0.3
    np.testing.assert_array_equal(radius[~inside], np.float32(0.3))
    np.testing.assert_array_equal(calls[~inside], 1)
    assert np.all(radius <= np.minimum(expected, np.float32(0.3)))
    np.testing.assert_allclose(radius[inside], expected[inside], atol=TOLERANCE)
    if verifier is PolyhedralEnvelope:
        # The first call gives the distance, the next ones try to go beyond.
        with little_rounding():
            radius, _ = certified_radius(model, X, y, verifier(threat))
        np.testing.assert_allclose(radius[inside], expected[inside], atol=1e-5)


def test_inputs_in_other_batches_and_with_other_ends_find_the_same(searched):
    model, y, envelope, _ = searched
    upper = np.where(np.arange(40) % 2, 0.4, 0.0)
    verifier = PolyhedralEnvelope(Linf(0.01))
    radius, calls = certified_radius(
        model, X, y, verifier, TOLERANCE, upper, batch_size=7
    )
    odd = upper > 0
    np.testing.assert_allclose(radius[odd], envelope.radius[odd], atol=2e-6)
    np.testing.assert_array_equal(radius[~odd], 0.0)
    np.testing.assert_array_equal(calls[~odd], 0)


def test_the_network_is_traced_once_for_all_rounds():
    model, traces = network(4), []

    def counted(x, training=False):
        if not tf.executing_eagerly():
            traces.append(x)
        return model(x, training=training)

    y = np.argmax(model(X), axis=1)
    verifier = PolyhedralEnvelope(Linf(0.4))
    _, calls = certified_radius(counted, X, y, verifier, batch_size=16)
    assert calls.max() > 2
    assert len(traces) == 1


def test_no_inputs_have_no_radii():
    found = certified_radius(network(), X[:0], [], CROWN(Linf(0.1)))
    assert found.radius.shape == found.calls.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tolerance": 0.0}, "`tolerance` must be positive"),
        ({"upper": math.inf}, "`upper` must be finite"),
        ({"upper": -0.1}, "`upper` must be finite and not negative"),
        ({"upper": [0.1, 0.2]}, "one epsilon, or one for each input"),
        ({"upper": np.full((40, 2), 0.1)}, r"ndarray of shape \(40, 2\)"),
        ({"upper": schedules.Ramp(0.0, 0.1, end=5)}, "Pass `upper`"),
        ({"y": [0, 1]}, "the same length"),
        ({"y": np.full(40, 4)}, "`y` must hold whole class labels"),
        ({"x": 2 * X + 1}, "valid range"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, sentence):
    given = {"x": X, "y": np.zeros(40, int), **arguments}
    with pytest.raises(ValueError, match=sentence):
        certified_radius(network(), verifier=CROWN(Linf(0.1)), **given)


def test_a_model_is_given_tensors():
    kernel = RNG.normal(size=(5, 3)).astype(np.float32)
    shapes = []

    def model(x, training=False):
        shapes.append(x.shape.rank)  # Which an array doesn't know.
        return tf.matmul(x, kernel)

    y = np.argmax(X @ kernel, axis=1)
    found = certified_radius(model, X, y, CROWN(Linf(0.4)), TOLERANCE)
    assert set(shapes) == {2} and len(found.radius) == len(X)
