"""Attacks that are made for fast training, on a linear network by hand."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.attacks import NFGSM, PGD, AdAT, FastEGL1, Restart
from tfrobust.threats import L1, L2, Linf

W = np.array([[1.0, -2.0], [0.5, 0.3], [-1.5, 0.2]], np.float32)
X = np.array([[0.5, 0.4, 0.6], [0.3, 0.7, 0.5]], np.float32)
Y = np.array([0, 1])
KINDS = [NFGSM(Linf(0.1)), FastEGL1(L1(0.5)), AdAT(Linf(0.1))]


class Model:
    """Logits of a linear network; counts forward and backward passes."""

    def __init__(self):
        self.forward = self.backward = 0

    def __call__(self, x, training=False):
        assert training is False

        @tf.custom_gradient
        def counted(x):
            self.forward += 1

            def gradient(upstream):
                self.backward += 1
                return upstream

            return tf.identity(x), gradient

        return tf.matmul(counted(x), W)


# The gradient of the cross entropy is that of the wrong logit over the true.
GRADIENT = (W[:, 1 - Y] - W[:, Y]).T


def test_nfgsm_steps_from_noise_that_leaves_the_ball():
    attack = NFGSM(Linf(0.1), seed=3)
    assert attack.reach == 3
    moves = np.concatenate(
        [attack.at(s).perturb(Model(), X, Y) - X for s in range(200)]
    )
    signs = np.tile(np.sign(GRADIENT), [200, 1])
    noise = moves - 0.1 * signs
    assert np.all(np.abs(noise) <= 0.2 + 1e-6)
    assert np.max(np.abs(moves)) > 0.28
    # It is uniform in twice the ball: its mean magnitude is epsilon.
    np.testing.assert_allclose(np.mean(np.abs(noise)), 0.1, atol=0.005)


def test_nfgsm_stays_in_the_range_and_behind_the_mask():
    threat = Linf(0.4, mask=np.array([1, 0, 1]))
    points = np.array(NFGSM(threat).perturb(Model(), X, Y))
    np.testing.assert_array_equal(points[:, 1], X[:, 1])
    assert np.min(points) >= 0 and np.max(points) <= 1


@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_fast_eg_takes_the_euclidean_step_within_a_larger_ball(radius):
    threat = L1(0.3)
    attack = FastEGL1(threat, radius, init_radius=1e-6)
    points = attack.perturb(Model(), X, Y)
    unit = GRADIENT / np.linalg.norm(GRADIENT, axis=1, keepdims=True)
    unit = np.float32(unit)
    expected = threat.scaled(radius).project(
        X, X + np.float32(np.sqrt(0.3)) * unit
    )
    np.testing.assert_allclose(points, expected, atol=1e-5)
    lengths = np.sum(np.abs(points - X), axis=1)
    np.testing.assert_allclose(lengths, np.full(2, 0.3 * radius), rtol=1e-4)


def test_the_step_of_fast_eg_is_as_long_where_a_mask_holds_features():
    threat = L1(0.3, mask=np.array([1, 0, 1]))
    points = FastEGL1(threat, 9.0, init_radius=1e-6).perturb(Model(), X, Y)
    free = GRADIENT * np.array([1, 0, 1])
    unit = free / np.linalg.norm(free, axis=1, keepdims=True)
    expected = np.clip(X + np.sqrt(0.3) * unit, 0, 1)
    np.testing.assert_allclose(points, expected, atol=1e-5)


def test_the_step_of_fast_eg_grows_with_the_range():
    wide = L1(0.3, low=-3.0, high=1.0)
    points = FastEGL1(wide, 100.0, init_radius=1e-6).perturb(Model(), X, Y)
    unit = GRADIENT / np.linalg.norm(GRADIENT, axis=1, keepdims=True)
    expected = np.clip(X + np.sqrt(4 * 0.3) * unit, -3, 1)
    np.testing.assert_allclose(points, expected, atol=1e-5)


@pytest.mark.parametrize(("init", "most"), [(None, 0.6), (0.5, 0.15)])
def test_fast_eg_starts_within_the_ball_of_its_start(init, most):
    starts = []

    def model(x, training=False):
        starts.append(np.array(x))
        return tf.matmul(x, W)

    attack = FastEGL1(L1(0.3), init_radius=init)
    for step in range(50):
        attack.at(step).perturb(model, X, Y)
    lengths = np.sum(np.abs(np.array(starts) - X), axis=2)
    assert 0.9 * most < np.max(lengths) <= most * (1 + 1e-5)


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_adat_stops_at_the_first_point_that_fools(parts):
    attack = AdAT(Linf(0.2), parts=parts, seed=1)
    end = tfr.attacks.FGSM(
        Linf(0.2), step_size=1.25, random_start=1.0, seed=1
    ).perturb(Model(), X, Y)
    found = attack.perturb(Model(), X, Y)
    for x, y, stop, point in zip(X, Y, end, found, strict=True):
        way = [x + (stop - x) * k / parts for k in range(parts + 1)]
        wrong = [np.argmax(np.array(at) @ W) != y for at in way[:-1]] + [True]
        np.testing.assert_allclose(point, way[wrong.index(True)], atol=1e-6)


@pytest.mark.parametrize(
    ("attack", "forward"),
    [(NFGSM(Linf(0.1)), 1), (FastEGL1(L1(0.5)), 1), (AdAT(Linf(0.1)), 4)],
)
def test_passes_are_as_many_as_it_says(attack, forward):
    model = Model()
    attack.perturb(model, X, Y)
    assert (model.forward, model.backward) == (forward, 1)


@pytest.mark.parametrize("attack", KINDS)
def test_each_step_draws_anew(attack):
    # So far from x that the noise isn't clipped away.
    first, second, again = (
        np.array(attack.at(step).perturb(Model(), X, 1 - Y))
        for step in (0, 1, 1)
    )
    np.testing.assert_array_equal(second, again)
    assert np.any(first != second)


@pytest.mark.parametrize(
    "attack", [KINDS[0], KINDS[1], Restart(KINDS[0], restarts=2)]
)
def test_what_leaves_the_threat_evaluates_nothing(attack):
    def model(x, training=False):
        return tf.matmul(x, W)

    with pytest.raises(ValueError, match="must stay in its threat"):
        tfr.evaluate(model, (X, Y), {"mine": attack}, verbose=0)
    within = FastEGL1(L1(0.5), radius=1.0)
    options = {"diagnostic_examples": 0, "verbose": 0}
    tfr.evaluate(model, (X, Y), {"mine": within}, **options)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: NFGSM(3), TypeError, "`threat` must be a Threat"),
        (lambda: NFGSM(Linf(0.1), noise=-1), ValueError, "`noise` must"),
        (lambda: FastEGL1(Linf(0.1)), TypeError, "must be an L1"),
        (lambda: FastEGL1(L1(1.0), 0), ValueError, "`radius` must be positive"),
        (
            lambda: FastEGL1(L1(1.0, -np.inf, np.inf)),
            ValueError,
            "finite range",
        ),
        (lambda: AdAT(Linf(0.1), parts=0), ValueError, "`parts` must"),
        (lambda: AdAT(PGD(L2(0.1))), TypeError, "`threat` must be a Threat"),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()
