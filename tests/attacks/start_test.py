"""Attacks that search from given points."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks
from tfrobust.halves import LEAST
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
W1 = RNG.normal(size=(4, 8)).astype(np.float32) * 9
W2 = RNG.normal(size=(8, 3)).astype(np.float32)
X = RNG.uniform(0.2, 0.8, (6, 4)).astype(np.float32)
LINF = Linf(0.05)
START = LINF.project(X, X + RNG.uniform(-0.1, 0.1, X.shape).astype(np.float32))


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


Y = np.argmax(curved(X), axis=1)
PGD = functools.partial(attacks.PGD, steps=2)
ATTACKS = {
    "fgsm": attacks.FGSM,
    "pgd": PGD,
    "pgd-last": functools.partial(PGD, best=False),
    "pgd-restarts": functools.partial(PGD, restarts=2, early_stop=True),
    "apgd": functools.partial(attacks.APGD, steps=3),
    "apgd-stages": functools.partial(attacks.APGD, steps=4, multi_epsilon=True),
    "ensemble": lambda threat: attacks.Ensemble([PGD(threat), PGD(threat)]),
    "restart": lambda threat: attacks.Restart(PGD(threat), 2),
    "transfer": lambda threat: attacks.Transfer(PGD(threat), curved),
    "minimum-norm": lambda threat: attacks.MinimumNorm(PGD(threat), steps=2),
}
every_attack = pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)


def spied(seen):
    """The model, which notes what it is asked about."""

    def model(x, training=False):
        seen.append(np.array(x))
        return curved(x)

    return model


@every_attack
def test_the_search_starts_at_the_given_points(make):
    def asked(start):
        """Whether the model is asked about START, apart from its gradient."""
        seen = []
        attack = make(LINF)
        if isinstance(attack, attacks.Transfer):
            attack = attacks.Transfer(attack.attack, spied(seen))
        attack.perturb(spied(seen), X, Y, start)
        return any(np.array_equal(points, START) for points in seen)

    assert asked(START) and not asked(None)


@pytest.mark.parametrize("norm", [Linf, L2, L1])
@every_attack
def test_what_lies_outside_of_the_threat_is_brought_inside(make, norm):
    threat = norm(tf.constant([0.05, 0.1, 0.0, 0.2, 0.1, 0.1]))
    far = X + np.float32([[3, -2, 0.5, 0]])
    found = make(threat).perturb(curved, X, Y, far)
    assert np.all(threat.contains(X, found))
    same = make(threat).perturb(curved, X, Y, threat.project(X, far))
    np.testing.assert_allclose(found, same, atol=1e-5)


def test_one_step_from_a_point_is_worked_out_by_hand():
    def linear(x, training=False):
        return tf.stack([x @ [[1.0], [0], [-1], [2]], 0 * x[:, :1]], 1)[..., 0]

    attack = attacks.FGSM(LINF, step_size=0.5, random_start=1.0)
    found = attack.perturb(linear, X, np.zeros(6, int), START)
    moved = START + 0.025 * np.float32([[-1, 0, 1, -1]])
    expected = np.clip(moved, X - 0.05, X + 0.05)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_the_first_of_several_runs_starts_there():
    for attack in (
        PGD(LINF, restarts=3),
        attacks.Restart(PGD(LINF), 3),
        attacks.APGD(LINF, steps=2, restarts=3, early_stop=False),
    ):
        seen = []
        attack.perturb(spied(seen), X[:1], Y[:1], START[:1])
        times = sum(np.array_equal(points, START[:1]) for points in seen)
        assert times == 1


@pytest.mark.parametrize("size", [None, 2 * LEAST])
@every_attack
def test_every_example_starts_at_its_own_point_in_halves_and_active_sets(
    make, size
):
    repeats = 2 * LEAST // len(X) + 1
    x, y = np.tile(X, [repeats, 1])[:256], np.tile(Y, repeats)[:256]
    start = x + RNG.uniform(-0.1, 0.1, x.shape).astype(np.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec([size, 4]),
            tf.TensorSpec([size], tf.int64),
            tf.TensorSpec([size, 4]),
        ],
        autograph=False,
    )
    def perturb(x, y, start):
        return make(LINF).perturb(curved, x, y, start)

    found = perturb(x, y, start)
    some = slice(1, None, 9)
    alone = make(LINF).perturb(curved, x[some], y[some], start[some])
    np.testing.assert_allclose(found[some], alone, atol=1e-5)


def test_what_is_no_number_starts_at_x():
    start = START.numpy()
    start[0], start[1, 2], start[2, 0] = np.nan, np.inf, -np.inf
    expected = np.where(np.isfinite(start), start, X)
    np.testing.assert_array_equal(
        PGD(LINF).perturb(curved, X, Y, start),
        PGD(LINF).perturb(curved, X, Y, expected),
    )


def test_points_of_another_shape_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"the shape of x, \(6, 4\). Received"):
        PGD(LINF).perturb(curved, X, Y, START[:5])
    signature = [tf.TensorSpec([None, 4])] * 2
    perturb = tf.function(
        lambda x, start: PGD(LINF).perturb(curved, x, 0 * Y[:2], start),
        input_signature=signature,
        autograph=False,
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        perturb(X[:2], START[:1])


@pytest.mark.parametrize(
    "attack",
    [
        attacks.Square(LINF, queries=2),
        attacks.FAB(LINF, steps=2),
        attacks.AutoAttack(LINF),
        attacks.Ensemble([PGD(LINF), attacks.Square(LINF, queries=2)]),
        attacks.Restart(attacks.FAB(LINF), 2),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_an_attack_that_takes_no_start_says_so(attack):
    name = "Square|FAB|AutoAttack"
    with pytest.raises(ValueError, match=f"`start` must be None for ({name}),"):
        attack.perturb(curved, X, Y, START)
