"""Attacks on what is no ball: `PatchAttack` and `SpatialAttack`."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import (
    FGSM,
    PGD,
    Ensemble,
    MinimumNorm,
    PatchAttack,
    Restart,
    SpatialAttack,
)
from tfrobust.threats import Linf, Patch, Spatial
from tfrobust.verifiers import IBP

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(1)
X = RNG.uniform(size=(6, 5, 5, 2)).astype(np.float32)
W = RNG.normal(size=(5, 5, 2)).astype(np.float32)
Y = np.zeros(6, np.int64)


def model(bias):
    """Two classes of a linear model; the bias keeps it from erring."""

    def call(x, training=False):
        lead = tf.reduce_sum(x * W, axis=[1, 2, 3]) + bias
        return tf.stack([-lead / 2, lead / 2], axis=1)

    return call


def lead(x, bias=0.0):
    return np.sum(x * W, axis=(1, 2, 3)) + bias


def best_gains(size):
    """The most that a square gains, over all places, for each image."""
    gain = np.maximum(W * (1 - X), -W * X).sum(axis=3)
    places = range(5 - size + 1)
    return [
        max(
            one[r : r + size, c : c + size].sum()
            for r in places
            for c in places
        )
        for one in gain
    ]


def test_the_worst_square_of_a_linear_model_is_found():
    attack = PatchAttack(Patch(2), steps=12, step_size=0.2, stride=1)
    point = attack.perturb(model(-99.0), X, Y).numpy()
    np.testing.assert_allclose(
        lead(point), lead(X) + best_gains(2), rtol=1e-4, atol=1e-4
    )
    assert np.all(attack.threat.contains(X, point))


def test_a_stride_reaches_the_last_place_and_a_corner_stands():
    x = tf.constant(X)
    corners = PatchAttack(Patch(2), stride=2)._corners(x, 0)[0].numpy()
    places = [0, 2, 3]
    assert corners.tolist() == [[r, c] for r in places for c in places]
    one = PatchAttack(Patch(2, corner=(3, 1)))._corners(x, 0).numpy()
    np.testing.assert_array_equal(one, [[[3, 1]]] * 6)
    some = PatchAttack(Patch(2), stride=2, places=4)._corners(x, 0).numpy()
    assert some.shape == (6, 4, 2)
    assert all(len({*map(tuple, row)}) == 4 for row in some)
    assert np.any(some[0] != some[1])


def test_the_worst_transformation_is_that_of_a_loop():
    threat = Spatial(30.0, 1.0, angles=3, shifts=3)
    every = [
        threat.turned(X, tf.repeat(member[np.newaxis], 6, axis=0)).numpy()
        for member in threat.members
    ]
    expected = np.max([lead(point) for point in every], axis=0)
    point = SpatialAttack(threat).perturb(model(-99.0), X, Y).numpy()
    np.testing.assert_allclose(lead(point), expected, rtol=1e-5, atol=1e-5)
    assert np.all(threat.contains(X, point))
    some = SpatialAttack(threat, tries=4).perturb(model(-99.0), X, Y).numpy()
    assert np.all(lead(some) <= lead(point) + 1e-4)
    assert np.any(lead(some) < lead(point) - 1e-4)
    assert np.all(lead(some) >= lead(X) - 1e-4)


def test_stopping_early_fools_the_same_examples():
    threat = Spatial(30.0, 1.0, angles=3, shifts=3)
    bias = -float(np.median(lead(X))) - 0.5
    found = [
        lead(SpatialAttack(threat, early_stop=early).perturb(model(bias), X, Y))
        for early in (False, True)
    ]
    wrong, early = (one + bias > 0 for one in found)
    np.testing.assert_array_equal(wrong, early)
    assert np.any(found[0] > found[1])


ATTACKS = [
    PatchAttack(Patch(2), steps=2, places=3),
    SpatialAttack(Spatial(30.0, 1.0, 3, 3), tries=3),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_points_depend_on_seed_and_step_but_not_on_batch_mates(attack):
    def points(attack, x):
        return attack.perturb(model(-99.0), x, Y[: len(x)]).numpy()

    together = points(attack, X)
    np.testing.assert_allclose(
        points(attack, X[2:3])[0], together[2], atol=1e-6
    )
    np.testing.assert_array_equal(points(attack, X), together)
    for other in (attack.replace(seed=1), attack.at(1)):
        assert np.any(points(other, X) != together)
    compiled = tf.function(
        lambda x, y: attack.perturb(model(-99.0), x, y),
        input_signature=[
            tf.TensorSpec([None, 5, 5, 2]),
            tf.TensorSpec([None], tf.int64),
        ],
        autograph=False,
    )
    np.testing.assert_allclose(compiled(X, Y), together, atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS)
def test_composites_take_them(attack):
    for whole in (Ensemble([attack]), Restart(attack, 2)):
        point = whole.perturb(model(-99.0), X, Y)
        assert np.all(attack.threat.contains(X, point))


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_needs_a_ball_refuses_them(attack):
    region = attack.threat
    for make in (
        lambda: PGD(region),
        lambda: FGSM(region),
        lambda: IBP(region),
        lambda: MinimumNorm(attack),
        lambda: PGD(Linf(0.1)).against(region),
        lambda: IBP(Linf(0.1)).against(region),
        lambda: attack.against(Linf(0.1)),
        lambda: type(attack)(Linf(0.1)),
    ):
        with pytest.raises(TypeError, match="must be an? .*Received: "):
            make()


def test_bad_arguments_are_refused():
    for name in ("steps", "step_size", "stride", "places"):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            PatchAttack(Patch(2), **{name: 0})
    with pytest.raises(ValueError, match="`tries` must"):
        SpatialAttack(Spatial(), tries=0)
