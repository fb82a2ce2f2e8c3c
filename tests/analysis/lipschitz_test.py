"""Both ends of Lipschitz constants."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

layers = keras.layers
L2 = tfr.threats.L2(0.5)
X = np.random.default_rng(0).uniform(size=(8, 5)).astype(np.float32)


def network(*hidden):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5,)), *hidden, layers.Dense(3)])


def test_both_ends_of_a_linear_network_are_its_constant():
    model = network()
    y = np.arange(8) % 3
    found = tfr.analysis.lipschitz(model, X, L2, y, draws=1)
    logits = np.array(model(X))
    logits[np.arange(8), y] = -np.inf
    kernel = model.get_weights()[0].T
    expected = np.linalg.norm(kernel[y] - kernel[logits.argmax(1)], axis=1)
    np.testing.assert_allclose(found.lower, expected, rtol=1e-5)
    np.testing.assert_allclose(found.upper, expected, rtol=1e-4)
    np.testing.assert_allclose(found.ratio, 1, rtol=1e-4)


def test_the_ends_enclose_the_slopes_of_a_network():
    model = network(layers.Dense(16, "relu"), layers.Dense(16, "tanh"))
    few, many = (
        tfr.analysis.lipschitz(model, X, L2, draws=draws) for draws in (1, 30)
    )
    assert np.all(many.lower >= few.lower) and np.any(many.lower > few.lower)
    assert np.all(many.ratio > 1)
    np.testing.assert_array_equal(few.upper, many.upper)
    y = np.argmax(model(X), axis=1)
    at_x = tfr.analysis.saliency(model, X, y)
    assert np.all(many.lower >= 0.9999 * np.linalg.norm(at_x, axis=1))


def test_a_table_shows_both_ends():
    found = tfr.analysis.LipschitzConstants(
        np.array([1.0, 0.0]), np.array([2.0, 4.0])
    )
    lines = [line.split() for line in str(found).splitlines()]
    assert lines[0] == ["mean", "median", "max"]
    assert lines[1] == ["lower", "0.5", "0.5", "1"]
    assert lines[2] == ["upper", "3", "3", "4"]
    assert lines[3] == ["ratio", "2", "2", "2"]


def test_bad_arguments_are_refused():
    model = network()
    with pytest.raises(TypeError, match=r"tfr\.threats\.L2"):
        tfr.analysis.lipschitz(model, X, tfr.threats.Linf(0.1))
    with pytest.raises(ValueError, match="`draws` must be at least 1"):
        tfr.analysis.lipschitz(model, X, L2, draws=0)
    with pytest.raises(ValueError, match="range"):
        tfr.analysis.lipschitz(model, X + 2, L2)
