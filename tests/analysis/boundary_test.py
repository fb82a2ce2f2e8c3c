"""Boundaries that are planes and spheres, and normals of any kind."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import analysis
from tfrobust.attacks import FGSM, MinimumNorm
from tfrobust.backend import keras
from tfrobust.threats import L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(8)
W = RNG.normal(size=6).astype(np.float32)
X = RNG.uniform(0.2, 0.8, size=(8, 6)).astype(np.float32)
B = np.float32(np.median(X @ W))
LEAD = X @ W - B
Y = (LEAD < 0).astype(int)


def plane(x, training=False):
    """Class 0 on the side that the weights point to."""
    lead = tf.linalg.matvec(tf.reshape(x, [-1, 6]), W) - B
    return tf.stack([lead, -lead], axis=1)


def sphere(x, training=False):
    """Class 0 within a distance of 2 from the origin."""
    square = tf.reduce_sum(x**2, axis=1)
    return tf.stack([4 - square, square - 4], axis=1)


def straight(norm=L2, epsilon=3.0):
    """Of a plane, or of a ball around the origin, the shortest way."""
    return FGSM(norm(epsilon, low=-9, high=9), random_start=0)


@functools.cache
def of_plane():
    return analysis.boundary(plane, X, Y, attack=straight())


def test_the_boundary_of_a_linear_model_is_found_where_it_is():
    found = of_plane()
    assert np.all(found.found)
    np.testing.assert_array_equal(found.other, 1 - Y)
    np.testing.assert_allclose(found.points @ W - B, 0, atol=2e-6)
    distance = np.abs(LEAD) / np.linalg.norm(W)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4)
    unit = W / np.linalg.norm(W)
    sides = np.where(Y == 0, 1, -1)[:, None]
    np.testing.assert_allclose(found.normals, sides * unit, atol=1e-6)
    np.testing.assert_allclose(found.angle, 0, atol=1e-5)
    np.testing.assert_allclose(found.curvature, 0, atol=1e-4)


def test_distances_are_in_the_norm_of_the_threat():
    found = analysis.boundary(plane, X, Y, attack=straight(Linf))
    distance = np.abs(LEAD) / np.sum(np.abs(W))
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4)
    moved = np.max(np.abs(found.points - X), axis=1)
    np.testing.assert_allclose(found.distance, moved, rtol=1e-5)


def test_any_attack_will_do_and_images_keep_their_shape():
    x = X.reshape(8, 3, 2, 1)
    attack = MinimumNorm(straight(epsilon=2.0), steps=4)
    found = analysis.boundary(plane, x, Y, attack=attack, batch_size=3)
    assert found.points.shape == found.normals.shape == x.shape
    distance = np.abs(LEAD) / np.linalg.norm(W)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4)
    lengths = np.linalg.norm(found.normals.reshape(8, -1), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_the_boundary_of_a_ball_turns_as_a_circle_does(step):
    x = RNG.normal(size=(5, 6)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    found = analysis.boundary(sphere, x, attack=straight(), step=step)
    np.testing.assert_allclose(found.distance, 1, rtol=1e-5)
    np.testing.assert_allclose(found.normals, -found.points / 2, atol=1e-5)
    # From a tangent of this length, radially back to a circle of radius 2.
    angle = np.arctan(step / 2)
    np.testing.assert_allclose(found.angle, angle, rtol=1e-3)
    chord = 4 * np.sin(angle / 2)
    np.testing.assert_allclose(found.curvature, angle / chord, rtol=1e-3)


def test_where_no_boundary_was_found_there_are_no_numbers():
    y = Y.copy()
    y[2] = 1 - y[2]
    lengths = np.abs(LEAD) / np.linalg.norm(W)
    far = np.argmax(np.where(np.arange(8) == 2, 0, lengths))
    attack = straight(epsilon=0.9 * lengths[far])
    found = analysis.boundary(plane, X, y, attack=attack)
    assert not found.found[2] and not found.found[far] and np.any(found.found)
    np.testing.assert_array_equal(found.found, found.other >= 0)
    for values in (found.points, found.distance, found.normals, found.angle):
        rows = np.isnan(values.reshape(8, -1))
        np.testing.assert_array_equal(rows.all(axis=1), ~found.found)
        np.testing.assert_array_equal(rows.any(axis=1), ~found.found)


def test_the_boundary_is_left_at_another_place_than_the_class_is_entered():
    def three(x, training=False):
        """By the first feature: class 0 up to 1, 1 up to 2, then class 2."""
        first = x[:, 0]
        return tf.stack([1 - first, 0 * first, 2 * first - 4], axis=1)

    class Far(FGSM):
        def _perturb(self, model, x, y, start, step):
            return x + tf.constant([[4.0, 0.0]])

    attack = Far(L2(9.0, low=-9, high=9))
    x = np.array([[0.5, 0.0]], np.float32)
    found = analysis.boundary(three, x, [0], attack=attack)
    np.testing.assert_allclose(found.points, [[1.0, 0.0]], atol=1e-5)
    assert found.other == [1]


def test_the_ratio_of_an_exact_certificate_is_one():
    found = of_plane()
    exact = np.abs(LEAD) / np.linalg.norm(W)
    np.testing.assert_allclose(found.ratio(exact), 1, rtol=1e-3)
    np.testing.assert_allclose(found.ratio(exact / 2), 0.5, rtol=1e-3)
    with pytest.raises(ValueError, match="`radius` must have the shape"):
        found.ratio(exact[:2])


@pytest.mark.builds_keras
def test_a_robust_model_is_analysed_as_its_network():
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    network.set_weights([np.stack([W, -W], 1), np.array([-B, B])])
    found = analysis.boundary(tfr.RobustModel(network), X, attack=straight())
    np.testing.assert_allclose(found.distance, of_plane().distance, rtol=1e-4)


def test_normals_of_a_linear_model_are_alike_and_of_one_dimension():
    near = of_plane()
    found = analysis.normal_similarity(near.normals, Y)
    np.testing.assert_allclose([found.within, found.across], [1, -1], rtol=1e-5)
    assert analysis.dimension(near.normals) == 1


def test_mean_cosines_are_those_of_all_pairs():
    rows, labels = RNG.normal(size=(7, 5)), np.array([0, 1, 1, 2, 0, 1, 0])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = units @ units.T
    same = labels[:, None] == labels
    apart = ~same
    np.fill_diagonal(same, False)
    found = analysis.normal_similarity(rows.reshape(7, 5, 1), labels)
    np.testing.assert_allclose(found.within, cosines[same].mean(), rtol=1e-5)
    np.testing.assert_allclose(found.across, cosines[apart].mean(), rtol=1e-5)
    assert found.to_dict()["within"] == found.within


def test_shuffled_normals_are_alike_only_in_their_mean():
    pattern = RNG.normal(size=400)
    pattern -= pattern.mean()
    rows = np.tile(pattern, (10, 1))
    labels = np.repeat([0, 1], 5)
    found, same, other = (
        analysis.normal_similarity(rows, labels, seed=seed)
        for seed in (0, 0, 1)
    )
    np.testing.assert_allclose([found.within, found.across], 1, rtol=1e-6)
    assert abs(found.null_within) < 0.02 and abs(found.null_across) < 0.02
    # 20 pairs within classes, of cosines of variance 1 / 400.
    np.testing.assert_allclose(found.null_deviation, 20**-0.5 / 20, rtol=0.5)
    assert found == same and found.null_within != other.null_within
    bright = analysis.normal_similarity(1 + 0 * rows, labels)
    np.testing.assert_allclose(bright.null_within, 1)


def test_without_pairs_there_is_no_mean():
    found = analysis.normal_similarity(np.eye(3), [0, 1, 2])
    assert np.isnan(found.within) and found.across == 0
    found = analysis.normal_similarity(np.eye(3), [1, 1, 1])
    assert np.isnan(found.across) and found.within == 0


@pytest.mark.parametrize("energy, count", [(0.5, 5), (0.9, 9), (1.0, 10)])
def test_the_dimension_counts_directions_that_hold_the_energy(energy, count):
    lengths = np.arange(1, 11)[:, None]
    assert analysis.dimension(lengths * np.eye(10), energy) == count
    many = np.concatenate([np.tile(np.eye(10)[:1], (90, 1)), np.eye(10)])
    assert analysis.dimension(many) == 1


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (dict(attack=L2(0.1)), TypeError, "`attack` must be an Attack"),
        (dict(step=0), ValueError, "`step` must be positive"),
        (dict(directions=0), ValueError, "`directions`"),
        (dict(y=[0, 1]), ValueError, "same length"),
        (dict(y=np.full(8, 2)), ValueError, "from 0 to 1"),
        (dict(x=X + 9), ValueError, "valid range"),
        (dict(x=X[:, :1]), ValueError, "2 features"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(call, error, sentence):
    def first(x, training=False):
        return tf.concat([x[:, :1], -x[:, :1]], axis=1)

    with pytest.raises(error, match=sentence):
        problem = {"x": X, "y": Y, "attack": straight(), **call}
        analysis.boundary(first, **problem)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: analysis.dimension(np.zeros((2, 3))), "have a length"),
        (lambda: analysis.dimension(np.full((2, 3), np.nan)), "finite"),
        (lambda: analysis.dimension(np.eye(3), 0.0), "`energy`"),
        (lambda: analysis.normal_similarity(np.eye(3), [0, 1]), "`labels`"),
        (lambda: analysis.normal_similarity(np.eye(2), [0, 1], 0), "`draws`"),
    ],
)
def test_wrong_normals_are_refused_in_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
