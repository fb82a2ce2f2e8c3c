"""What every threat answers, and that nobody asks it anything else."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, evaluation, verifiers
from tfrobust.backend import keras
from tfrobust.threats import L1, L2, Box, Linf, Threat

ORDERS = {Linf: (np.inf, 1), L2: (2, 2), L1: (1, np.inf)}
RNG = np.random.default_rng(3)
X = RNG.uniform(0.2, 0.8, (5, 2, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 1, 0])
MASK = np.array([[1, 0, 1], [1, 1, 0]])
RADII = {
    "number": 0.3,
    "example": np.array([0.1, 0.2, 0.0, 0.4, 0.5], np.float32),
    "feature": RNG.uniform(0.1, 0.5, (2, 3)).astype(np.float32),
}

every_norm = pytest.mark.parametrize("norm", list(ORDERS))


@pytest.mark.parametrize(
    ("threat", "name", "is_box", "is_sparse", "features"),
    [
        (Linf(0.1), "linf", True, False, None),
        (Box(RADII["feature"]), "box", True, False, None),
        (L2(0.1), "l2", False, False, None),
        (L1(0.1), "l1", False, True, None),
        (L1(0.1, features=2), "l1", False, True, 2),
    ],
)
def test_a_threat_says_what_kind_of_ball_it_is(
    threat, name, is_box, is_sparse, features
):
    assert threat.name == name
    assert threat.is_box is is_box and threat.is_sparse is is_sparse
    assert threat.features == features


@every_norm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_are_those_of_the_last_axis(norm, dtype):
    rows, (order, dual) = RNG.normal(size=(4, 2, 6)).astype(dtype), ORDERS[norm]
    for found, p in ((norm(0.1).norm, order), (norm(0.1).dual_norm, dual)):
        assert found(rows).dtype == dtype
        expected = np.linalg.norm(rows, p, axis=-1)
        np.testing.assert_allclose(found(rows), expected, rtol=1e-6)


@every_norm
def test_the_dual_norm_is_the_largest_product_with_a_move_of_norm_one(norm):
    free = norm(1.0, -np.inf, np.inf)
    rows = RNG.normal(size=(5, 6)).astype(np.float32)
    expected = free.support(X, rows.reshape(X.shape))
    np.testing.assert_allclose(free.dual_norm(rows), expected, rtol=1e-5)


@every_norm
def test_a_distance_is_measured_in_the_units_of_x(norm):
    moved = X + RNG.normal(size=X.shape).astype(np.float32)
    move = (moved.astype(np.float64) - X).reshape(5, 6)
    expected = np.linalg.norm(move, ORDERS[norm][0], axis=1)
    for radius in RADII.values():
        found = norm(radius).distance(X, moved)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@every_norm
@pytest.mark.parametrize("radius", list(RADII))
def test_the_sphere_is_as_far_away_as_epsilon(norm, radius):
    threat = norm(RADII[radius], -9.0, 9.0)
    point = threat.sphere(X, seed=1)
    size = (point - X) / np.maximum(threat.radii(X), 1e-9)
    size = threat.norm(tf.reshape(size, [5, 6]))
    expected = np.max(threat.radii(X), axis=(1, 2)) > 0
    np.testing.assert_allclose(size, expected, rtol=1e-4)
    np.testing.assert_array_equal(threat.sphere(X, seed=1), point)
    assert not np.array_equal(threat.sphere(X, seed=2), point)


@every_norm
def test_the_sphere_is_cut_off_by_the_range_and_keeps_what_is_masked(norm):
    threat = norm(0.9, 0.0, 1.0, MASK)
    point = threat.sphere(X, seed=1).numpy()
    assert np.all(threat.contains(X, point))
    assert np.all((point != X) == (MASK > 0))
    assert np.any((point == 0) | (point == 1)) or norm is L1


@pytest.mark.parametrize(
    "threat", [Linf(0.01), L2(0.01), L1(0.01), Box(np.full((2, 3), 0.01))]
)
def test_the_leeway_is_what_the_range_and_the_mask_leave(threat):
    down, up = threat.replace(low=-1.0).leeway(X)
    np.testing.assert_allclose(down, -1 - X, rtol=1e-6)
    np.testing.assert_allclose(up, 1 - X, rtol=1e-6)
    down, up = threat.replace(mask=MASK).leeway(X)
    np.testing.assert_allclose(down, -X * MASK, rtol=1e-6)
    np.testing.assert_allclose(up, (1 - X) * MASK, rtol=1e-6)


class Own(Threat):
    """A user's threat: it answers like `L2`, but is none of ours."""

    norm, dual_norm = L2.norm, L2.dual_norm
    reach, least_move, least_norm = L2.reach, L2.least_move, L2.least_norm
    _draw, _steepest, _nearest = L2._draw, L2._steepest, L2._nearest
    _shrunk = L2._shrunk


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((2, 3)),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize(
    "attack",
    [
        lambda threat: attacks.PGD(threat, steps=3),
        lambda threat: attacks.APGD(threat, steps=4),
        lambda threat: attacks.Square(threat, queries=5),
        lambda threat: attacks.FAB(threat, steps=2, restarts=2),
        lambda threat: attacks.FAB(threat, steps=2, targets=2),
        lambda threat: attacks.MinimumNorm(attacks.PGD(threat, 2), steps=2),
    ],
)
def test_a_threat_of_ones_own_is_attacked_by_what_it_answers(network, attack):
    found, expected = (
        attack(kind(0.4)).perturb(network, X, Y) for kind in (Own, L2)
    )
    np.testing.assert_array_equal(found, expected)
    assert np.any(found != X)


@pytest.mark.parametrize(
    "verifier",
    [
        verifiers.IBP,
        verifiers.CROWN,
        verifiers.AlphaCROWN,
        verifiers.PolyhedralEnvelope,
        verifiers.BranchAndBound,
    ],
)
def test_a_threat_of_ones_own_is_bounded_by_what_it_answers(network, verifier):
    found, expected = (
        verifier(kind(0.2)).margins(network, X, Y) for kind in (Own, L2)
    )
    np.testing.assert_array_equal(found, expected)


def test_a_threat_of_ones_own_is_evaluated_under_its_name(network):
    adversaries = {"pgd": attacks.PGD(Own(0.1), steps=2)}
    report = evaluation.evaluate(network, (X, Y), adversaries, verbose=0)
    assert report["pgd"].norm == "own"
