"""Attacks that see decisions alone: HopSkipJump and the boundary attack."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import BoundaryAttack, HopSkipJump
from tfrobust.threats import L1, L2, Box, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(6)
X = RNG.uniform(0.2, 0.8, (8, 4)).astype(np.float32)
W = RNG.normal(size=(4, 3)).astype(np.float32)
DUAL = {Linf: 1, L2: 2, L1: np.inf}
KINDS = [HopSkipJump, BoundaryAttack]
both = pytest.mark.parametrize("kind", KINDS)


def linear(x, training=False):
    return x @ W


Y = np.argmax(linear(X), axis=1)


def hyperplanes(norm, weights=W):
    """Distances to the nearest hyperplane of a linear network."""
    logits = X @ W
    gaps = logits[np.arange(8), Y][:, np.newaxis] - logits
    slopes = weights.T[Y][:, np.newaxis] - weights.T
    lengths = np.linalg.norm(slopes, DUAL[norm], axis=2)
    return np.nanmin(gaps / np.where(lengths, lengths, np.nan), axis=1)


def nearest(attack, model=linear, y=Y, start=None):
    """What is nearest, by a graph of any batch size."""
    shapes = tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)

    @tf.function(input_signature=shapes, autograph=False)
    def find(x, y):
        return attack.nearest(model, x, y, start)

    return (value.numpy() for value in find(X, y))


@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        (HopSkipJump(L2(0.1, -1.0, 2.0), 1000, samples=40), L2),
        (HopSkipJump(Linf(0.1, -1.0, 2.0), 1000, samples=40), Linf),
        (HopSkipJump(L1(0.1, -1.0, 2.0), 1000, samples=40), L1),
        (BoundaryAttack(L2(0.1, -1.0, 2.0), 1000), L2),
    ],
)
def test_distances_approach_that_of_the_hyperplane_from_above(attack, norm):
    expected = hyperplanes(norm)
    points, distances = nearest(attack)
    assert np.all(np.argmax(linear(points), axis=1) != Y)
    assert np.all(distances >= (1 - 1e-4) * expected)
    assert np.all(distances <= 1.05 * expected)
    order = {Linf: np.inf, L2: 2, L1: 1}[norm]
    lengths = np.linalg.norm(points - X, order, axis=1)
    np.testing.assert_allclose(lengths, distances, rtol=1e-4)
    _, begun = nearest(attack.replace(queries=150))
    assert np.mean(begun / expected) > 1.05


def test_moves_are_measured_in_the_radii_of_a_box():
    radius = np.array([1.0, 0.2, 0.5, 0.0], np.float32)
    attack = HopSkipJump(Box(radius, -9.0, 9.0), 1000, samples=40)
    points, distances = nearest(attack)
    expected = hyperplanes(Linf, W * radius[:, np.newaxis])
    assert np.all(distances >= (1 - 1e-4) * expected)
    assert np.median(distances / expected) < 1.05
    np.testing.assert_array_equal(points[:, 3], X[:, 3])


@both
def test_only_decisions_are_read(kind):
    def decided(x, training=False):
        return tf.one_hot(tf.argmax(linear(x), axis=1), 3)

    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        logits = decided(x)
    assert tape.gradient(logits, x) is None
    attack = kind(L2(0.1), 300)
    for one, other in zip(
        nearest(attack), nearest(attack, decided), strict=True
    ):
        np.testing.assert_array_equal(one, other)


class Counted:
    """A model that counts how often it is asked about a batch."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, training=False):
        self.calls += 1
        return x @ W


@both
def test_the_model_is_asked_no_more_often_than_stated(kind):
    options = {"samples": 9} if kind is HopSkipJump else {}
    for queries in (150, 311):
        model = Counted()
        kind(L2(0.1), queries, **options).nearest(model, X, Y)
        # The first is x itself; not all draws and halvings were needed.
        assert queries / 3 < model.calls - 1 <= queries


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_steps_of_hop_skip_jump_are_what_queries_allow(number):
    attack = HopSkipJump(L2(0.1), samples=7)
    drawn = [int(7 * math.sqrt(t)) for t in range(1, number + 1)]
    # 10 halvings of the step and 10 of the way back, for 4 features.
    enough = sum(drawn) + 20 * number
    assert attack._steps(enough, 4) == number
    assert attack._steps(enough - 1, 4) == number - 1


@both
def test_a_start_is_taken_where_it_is_misclassified(kind):
    def narrow(x, training=False):
        """Errs in a corner that noise hardly ever meets."""
        least = tf.reduce_min(x, axis=1)
        return tf.stack([0.95 - least, least - 0.95], axis=1)

    y = np.zeros(8, np.int64)
    attack = kind(L2(0.1), 200)
    points, distances = nearest(attack, narrow, y)
    assert np.sum(np.isinf(distances)) >= 7
    lost = np.isinf(distances)
    np.testing.assert_array_equal(points[lost], X[lost])
    start = np.ones_like(X)
    start[0] = 0.5  # It isn't misclassified.
    points, distances = nearest(attack, narrow, y, start)
    np.testing.assert_array_equal(np.isfinite(distances)[1:], True)
    expected = np.linalg.norm(np.maximum(0.95 - X, 0), axis=1)
    assert np.all(distances[1:] >= 0.999 * expected[1:])
    assert np.all(points[1:] >= 0.95)


@both
def test_points_in_the_threat_are_returned_and_x_elsewhere(kind):
    attack = kind(L2(0.45, -1.0, 2.0), 600)
    perturb = tf.function(attack.perturb, autograph=False)
    points = perturb(linear, X, Y).numpy()
    wrong = np.argmax(linear(points), axis=1) != Y
    assert 0 < np.sum(wrong) < 8
    np.testing.assert_array_equal(points[~wrong], X[~wrong])
    assert np.all(np.linalg.norm(points - X, axis=1) <= 0.45 * (1 + 1e-5))
    reachable = hyperplanes(L2) < 0.43
    assert np.all(wrong[reachable])


@both
def test_what_is_misclassified_or_no_number_is_found_at_once(kind):
    def lost(x, training=False):
        return tf.fill([tf.shape(x)[0], 3], float("nan"))

    for model, y in ((linear, (Y + 1) % 3), (lost, 0 * Y)):
        points, distances = nearest(kind(L2(0.1), 150), model, y)
        np.testing.assert_array_equal(points, X)
        np.testing.assert_array_equal(distances, 0)


@both
def test_seeds_key_the_walk(kind):
    attack = kind(L2(0.1, -1.0, 2.0), 150)
    one, again = (next(nearest(attack)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert np.any(next(nearest(attack.replace(seed=1))) != one)


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="`threat` must be an? L2"):
        BoundaryAttack(Linf(0.1))
    for kind in KINDS:
        with pytest.raises(ValueError, match="have a finite range"):
            kind(L2(0.1, -np.inf, np.inf))
        with pytest.raises(ValueError, match="`queries` must be at least 150"):
            kind(L2(0.1), 149)
        with pytest.raises(ValueError, match="`x` must lie in"):
            kind(L2(0.1)).nearest(linear, X, Y, start=X + 9)
    with pytest.raises(ValueError, match="`samples` must"):
        HopSkipJump(L2(0.1), samples=1)
    for name in ("around", "towards"):
        with pytest.raises(ValueError, match=f"`{name}` must lie in"):
            BoundaryAttack(L2(0.1), **{name: 1.0})
