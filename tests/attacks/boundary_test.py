import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import boundary
from tfrobust.backend import keras
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(9)
X = tf.constant(RNG.uniform(size=(5, 2, 3)), tf.float32)
W = RNG.normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 3, 0])


def linear(x, training=False):
    return tf.reshape(x, [-1, 6]) @ W


LEADS = linear(X) - np.take_along_axis(
    linear(X).numpy(), Y[:, np.newaxis], axis=1
)
GRADIENTS = W.T[np.newaxis] - W.T[Y][:, np.newaxis]


def test_wrong_classes_come_most_likely_first_and_are_all_at_most():
    logits = tf.constant([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    ranked = boundary.wrong_classes([0, 0], logits, 9)
    np.testing.assert_array_equal(ranked, [[2, 1], [1, 2]])
    first = boundary.wrong_classes([0, 0], logits, 1)
    np.testing.assert_array_equal(first, [[2], [1]])


def test_towards_a_class_it_is_the_lead_and_its_gradient():
    target = np.array([1, 2, 3, 0, 3])
    lead, gradient = boundary.towards(target, linear, X, Y)
    rows = np.arange(5)
    expected = LEADS.numpy()[rows, target]
    np.testing.assert_allclose(lead[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, GRADIENTS[rows, target], rtol=1e-5)


@pytest.mark.parametrize(
    ("threat", "dual"), [(L1(1.0), np.inf), (L2(1.0), 2), (Linf(0.5), 1)]
)
@pytest.mark.parametrize("free", [np.ones(6), np.array([1, 0, 0, 1, 0, 1])])
def test_the_nearest_boundary_is_nearest_in_the_norm(threat, dual, free):
    free = np.tile(free, (5, 1)).astype(np.float32)
    lead, gradient = boundary.nearest(threat, free, linear, X, Y)
    speed = np.linalg.norm(GRADIENTS * free[:, np.newaxis], dual, axis=2)
    distance = np.abs(LEADS) / np.maximum(speed, 1e-30)
    distance[np.arange(5), Y] = np.inf
    chosen = np.arange(5), np.argmin(distance, axis=1)
    np.testing.assert_allclose(lead[:, 0], LEADS.numpy()[chosen], rtol=1e-5)
    np.testing.assert_allclose(gradient, GRADIENTS[chosen], rtol=1e-5)


def test_the_norm_matters():
    # 3 / (1 + 1 + 1) < 2 / 1.8 in linf, but 3 / 1 > 2 / 1.8 in l1.
    weights = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 1.8]], np.float32)
    free = np.ones((1, 3), np.float32)

    def model(x, training=False):
        return x @ weights - [0.0, 3.0, 2.0]

    x = tf.zeros((1, 3))
    for threat, lead in ((Linf(0.5), -3.0), (L1(1.0), -2.0)):
        found, _ = boundary.nearest(threat, free, model, x, [0])
        np.testing.assert_allclose(found, [[lead]])


@pytest.mark.builds_keras
def test_half_precision_layers_do_not_flush_the_gradient():
    layer = keras.layers.Dense(4, use_bias=False, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((6,)), layer])
    model.set_weights([W])

    def small(x, training=False):
        # float16 knows nothing between 0 and 6e-8.
        return 2e-8 * tf.cast(model(x), tf.float32)

    x, free = tf.reshape(X, [5, 6]), np.ones((5, 6), np.float32)
    _, gradient = boundary.nearest(L2(1.0), free, small, x, Y)
    _, expected = boundary.nearest(L2(1.0), free, linear, X, Y)
    np.testing.assert_allclose(gradient, 2e-8 * expected, rtol=0.1, atol=4e-10)


def test_a_slope_that_is_no_number_does_not_spread():
    def root(x, training=False):
        return tf.sqrt(x) @ [[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]]

    x = tf.constant([[0.0, 0.5, 0.2]])
    free = np.ones((1, 3), np.float32)
    _, gradient = boundary.nearest(L2(1.0), free, root, x, [0])
    expected = [[0.0, 0.5 / np.sqrt(0.5), -0.5 / np.sqrt(0.2)]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
