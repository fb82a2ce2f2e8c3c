"""Maps of what a model reads, by hand where a model is linear."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.analysis import integrated_gradients, saliency, smooth_grad
from tfrobust.backend import keras

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
W = RNG.normal(size=(6, 3)).astype(np.float32)
B = np.array([0.1, -0.2, 0.3], np.float32)
X = RNG.uniform(size=(7, 6)).astype(np.float32)
LOGITS = X @ W + B
Y = np.array([0, 1, 2, 0, 1, 2, 0])


def linear(x, training=False):
    return x @ W + B


def square(x, training=False):
    """The score of class 0 is `2 * sum(x ** 2)`."""
    total = tf.reduce_sum(x**2, axis=list(range(1, len(x.shape))))
    return tf.stack([total, -total], axis=1)


def best_other(y):
    logits = LOGITS.copy()
    logits[np.arange(len(y)), y] = -np.inf
    return np.argmax(logits, axis=1)


ALL = {
    "saliency": saliency,
    "smooth_grad": smooth_grad,
    "integrated": lambda *args, **k: integrated_gradients(*args, **k).maps,
}


def test_the_saliency_of_a_linear_model_is_a_difference_of_weights():
    expected = (W[:, Y] - W[:, best_other(Y)]).T
    np.testing.assert_allclose(saliency(linear, X, Y), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_without_labels_the_map_is_of_the_predicted_class(name):
    predicted = np.argmax(LOGITS, axis=1)
    found = ALL[name](linear, X)
    np.testing.assert_array_equal(found, ALL[name](linear, X, predicted))
    assert np.any(predicted != Y)
    assert np.any(found != ALL[name](linear, X, Y))


@pytest.mark.parametrize("name", ALL)
def test_maps_have_the_shape_of_images_and_do_not_depend_on_the_batch(name):
    x = RNG.uniform(size=(5, 3, 4, 2)).astype(np.float32)
    whole = ALL[name](square, x, [0, 1, 0, 1, 0])
    parts = ALL[name](square, x, [0, 1, 0, 1, 0], batch_size=2)
    assert whole.shape == x.shape and whole.dtype == np.float32
    np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-6)


@pytest.mark.builds_keras
def test_a_robust_model_is_analysed_as_its_network():
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    np.testing.assert_array_equal(saliency(model, X), saliency(network, X))


def test_noise_without_width_changes_nothing_and_averages_to_the_gradient():
    still = smooth_grad(square, X, np.zeros(7, int), sigma=0, samples=3)
    np.testing.assert_allclose(still, 4 * X, rtol=1e-5)
    # The gradient 4 (x + noise) has 4 sigma (high - low) / sqrt(samples).
    x = np.full((1, 4000), 0.5, np.float32)
    found = smooth_grad(square, x, [0], sigma=0.1, samples=16, high=2.0)
    np.testing.assert_allclose(np.mean(found), 2.0, atol=0.02)
    np.testing.assert_allclose(np.std(found), 4 * 0.2 / 4, rtol=0.05)


def test_the_noise_is_that_of_the_seed():
    one, same, other = (
        smooth_grad(square, X, np.zeros(7, int), samples=2, seed=seed)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.all(one != other)


@pytest.mark.parametrize("baseline", ["black", "mean", X[::-1], X[0] / 3])
@pytest.mark.parametrize("steps", [1, 4])
def test_integrated_gradients_of_a_linear_model_are_complete(baseline, steps):
    maps, error = integrated_gradients(linear, X, Y, baseline, steps)
    start = {"black": 0 * X, "mean": X.mean(axis=0)}
    start = start[baseline] if isinstance(baseline, str) else baseline
    expected = (X - start) * (W[:, Y] - W[:, best_other(Y)]).T
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_less(error, 1e-5)


def test_the_error_is_what_the_steps_leave_out():
    def fourth(x, training=False):
        total = tf.reduce_sum(x**4, axis=1)
        return tf.stack([total, 0 * total], axis=1)

    x = np.array([[1.0, 2.0]], np.float32)
    # The integral of 4 t^3 by the rule of one midpoint is 4 / 8, not 1.
    _, error = integrated_gradients(fourth, x, [0], steps=1)
    np.testing.assert_allclose(error, 17 * 0.5, rtol=1e-5)
    _, error = integrated_gradients(fourth, x, [0], steps=100)
    np.testing.assert_allclose(error, 17 * 0.5 / 100**2, rtol=0.05)


def test_black_is_the_low_end_of_the_range():
    maps, error = integrated_gradients(square, X, np.zeros(7, int), low=-1.0)
    np.testing.assert_allclose(maps, 2 * (X**2 - 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_less(error, 1e-4)


WRONG = {
    "length": (dict(y=[0, 1]), "same length"),
    "range": (dict(y=np.full(7, 3)), "from 0 to 2"),
    "soft": (dict(y=np.eye(3)[Y]), "one-hot"),
    "batch": (dict(batch_size=0), "batch_size"),
    "integers": (dict(x=np.ones((7, 6), int)), "`x` must be floating"),
    "nan": (dict(x=np.full((7, 6), np.nan, "f")), "`x` must hold finite"),
    "none": (dict(x=np.ones((0, 6), "f")), "`x` must be floating"),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_in_one_sentence(name, case):
    wrong, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        ALL[name](linear, **{"x": X, "y": Y, **wrong})


@pytest.mark.parametrize(
    "function, wrong, sentence",
    [
        (smooth_grad, dict(samples=0), "samples"),
        (smooth_grad, dict(sigma=-1.0), "sigma"),
        (smooth_grad, dict(low=1.0), "below `high`"),
        (smooth_grad, dict(high=np.inf), "`high` must be finite"),
        (integrated_gradients, dict(steps=0), "steps"),
        (integrated_gradients, dict(baseline="white"), '"black", "mean"'),
        (integrated_gradients, dict(baseline=np.ones(5)), "x's shape"),
    ],
)
def test_arguments_out_of_range_are_refused(function, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(linear, X, Y, **wrong)


def test_a_model_that_sends_no_gradient_is_refused():
    with pytest.raises(ValueError, match="No gradient reaches"):
        saliency(lambda x, training=False: tf.round(x), X)
