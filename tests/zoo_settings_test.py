"""What the zoo writes of a layer, and what it refuses to write."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import zoo
from tfrobust.backend import keras
from tfrobust.zoo import shelf

layers = keras.layers
X = np.random.default_rng(0).uniform(size=(6, 6, 6, 1)).astype(np.float32)
Y = np.arange(6) % 3
IBP = tfr.verifiers.IBP(tfr.threats.Linf(0.01))


def of(*inner):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 6, 1)), *inner, layers.Dense(3)])


def certified(model):
    return tfr.certify(model, (X, Y), IBP, verbose=0)


@pytest.fixture
def own_shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "_MODELS", tmp_path)
    return tmp_path


def written(folder, model):
    path = folder / "small.npz"
    zoo.write(path, model, certified(model), "python train.py")
    return zoo.load("small")


def identity(x):
    return x


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ([layers.Flatten(), layers.ReLU(8.0)], r"\(ReLU\) with max_value="),
        (
            [layers.Flatten(), layers.ReLU(negative_slope=0.2)],
            r"\(ReLU\) with negative_slope=",
        ),
        (
            [layers.Conv2D(2, 2, dilation_rate=2), layers.Flatten()],
            r"\(Conv2D\) with dilation_rate=\(2, 2\)",
        ),
        (
            [layers.Conv2D(2, 2), layers.Conv2D(2, 2, groups=2)]
            + [layers.Flatten()],
            r"\(Conv2D\) with groups=2",
        ),
        (
            [layers.BatchNormalization(axis=1), layers.Flatten()],
            r"\(BatchNormalization\) with axis=\[1\]",
        ),
        (
            [layers.Flatten(), layers.Dense(4, activation=identity)],
            r"\(Dense\) with activation=identity",
        ),
        (
            [layers.Flatten(), layers.Activation(lambda x: x)],
            r"\(Activation\) with activation=<lambda>",
        ),
        (
            [layers.Flatten(), layers.Dense(4, dtype="float64")],
            r"\(Dense\) with dtype=.*float64",
        ),
        (
            [layers.Conv2D(2, 2), layers.GlobalAveragePooling2D(keepdims=True)]
            + [layers.Flatten()],
            r"with keepdims=True",
        ),
    ],
)
def test_a_setting_that_is_not_written_is_refused(tmp_path, inner, message):
    report = certified(of(layers.Flatten()))
    with pytest.raises(NotImplementedError, match=message):
        zoo.write(tmp_path / "a.npz", of(*inner), report, "command")
    assert not [*tmp_path.iterdir()]


def test_what_concerns_training_and_the_last_axis_are_no_settings(own_shelf):
    normalized = layers.BatchNormalization(3, 0.5, name="own")
    dense = layers.Dense(
        4, "relu", kernel_initializer="ones", kernel_regularizer="l2"
    )
    dense.trainable = False
    model = of(normalized, layers.Flatten(), dense)
    np.testing.assert_array_equal(written(own_shelf, model)(X), model(X))


def test_a_network_is_loaded_in_the_precision_it_was_certified_in(own_shelf):
    written(own_shelf, of(layers.Flatten()))
    before = keras.mixed_precision.global_policy().name
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        loaded = zoo.load("small")
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert loaded(X).dtype == "float32"


def test_what_write_is_given_is_checked_before_anything_is_written(tmp_path):
    model, path = of(layers.Flatten()), tmp_path / "a.npz"
    report = certified(model)
    with pytest.raises(TypeError, match="`report` must be a Report, such as"):
        zoo.write(path, model, None, "command")
    with pytest.raises(TypeError, match="`command` must be a str, such as"):
        zoo.write(path, model, report, None)
    x = keras.Input((6, 6, 1))
    flat = layers.Flatten()(x)
    two = keras.Model(x, [layers.Dense(3)(flat), layers.Dense(3)(flat)])
    with pytest.raises(ValueError, match="one float32 input and one output"):
        zoo.write(path, two, report, "command")
    assert not [*tmp_path.iterdir()]
