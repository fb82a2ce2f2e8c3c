"""Networks carried to the other Keras and back."""

import importlib

import numpy as np
import pytest

from tfrobust.backend import keras
from tfrobust.compression import to_keras, to_tf_keras

packages = {
    name: pytest.importorskip(name, reason=f"conversion needs {name}")
    for name in ("keras", "tf_keras")
}
X = np.random.default_rng(0).random((4, 8, 8, 2), np.float32)
CONVERSIONS = [
    ("keras", to_tf_keras, to_keras),
    ("tf_keras", to_keras, to_tf_keras),
]


def everything(keras):
    """Layers of many kinds, one shared, and models inside, one used twice."""
    layers = keras.layers
    slope = "alpha" if keras.__name__ == "tf_keras" else "negative_slope"
    image = keras.Input((8, 8, 2), name="image")
    x = layers.Rescaling(2.0, -1.0)(image)
    x = layers.Conv2D(
        4, 3, padding="same", use_bias=False, kernel_regularizer="l2"
    )(x)
    x = layers.BatchNormalization(momentum=0.8, epsilon=0.01)(x)
    x = layers.LeakyReLU(**{slope: 0.2})(x)
    shared = layers.Conv2D(4, 1, activation="relu", name="shared")
    a = shared(x)
    b = shared(a)
    x = layers.Concatenate()([layers.Add()([x, b]), x, a])
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.SeparableConv2D(6, 3, strides=1)(x)
    x = layers.PReLU()(layers.ELU()(x))
    x = layers.Conv2DTranspose(3, 2)(x)
    x = layers.GroupNormalization(3)(layers.LayerNormalization()(x))
    x = layers.MaxPooling2D()(layers.ZeroPadding2D(1)(x))
    x = layers.Dropout(0.3)(layers.ReLU(6.0)(x))
    inner = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Flatten(),
            layers.Dense(6, activation="gelu"),
        ],
        name="inner",
    )
    row = keras.Input((6,))
    twice = keras.Model(row, layers.Dense(6)(layers.Softmax()(row)))
    x = twice(twice(inner(x)))
    return keras.Model(image, layers.Dense(3)(x), name="everything")


@pytest.mark.parametrize(
    ("source", "there", "back"), CONVERSIONS, ids=["keras", "tf_keras"]
)
def test_outputs_and_settings_are_equal_there_and_back(source, there, back):
    model = everything(packages[source])
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(0.3 * np.abs(rng.normal(size=weight.shape)) + 0.1)
    copy = there(model)
    assert not isinstance(copy, packages[source].Model)
    np.testing.assert_allclose(copy(X), model(X), rtol=1e-5)
    names = [layer.name for layer in model.layers]
    assert [layer.name for layer in copy.layers] == names
    assert copy.name == "everything" and copy.layers[3].momentum == 0.8
    assert len(copy.losses) == len(model.losses) == 1
    again = back(copy)
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.parametrize(
    ("source", "there", "back"), CONVERSIONS, ids=["keras", "tf_keras"]
)
def test_sequential_models_stay_sequential(source, there, back):
    package = packages[source]
    model = package.Sequential(
        [package.Input((8, 8, 2)), package.layers.Flatten()], name="flat"
    )
    copy = there(model)
    assert type(copy).__name__ == "Sequential" and copy.name == "flat"
    np.testing.assert_array_equal(copy(X), X.reshape(4, -1))


def test_a_converted_network_is_saved_for_the_other_keras(tmp_path):
    source, convert = (
        ("tf_keras", to_keras)
        if keras.__name__ == "tf_keras"
        else ("keras", to_tf_keras)
    )
    copy = convert(everything(packages[source]))
    copy.save(tmp_path / "network.keras")
    other = importlib.import_module(
        "keras" if source == "tf_keras" else "tf_keras"
    )
    loaded = other.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(X), copy(X))


def unfit(package):
    """Layers without a counterpart, between others."""

    class Mine(package.layers.Layer):
        def call(self, x):
            return x

    def mine(x):
        return x

    layers = package.layers
    image = package.Input((8, 8, 2))
    x = Mine(name="custom")(image)
    x = layers.Lambda(mine, name="code")(x)
    x = layers.Conv2D(2, 2, name="fine")(x)
    x = layers.Conv2D(2, 2, activation=mine, name="coded")(x)
    nested = package.Sequential(
        [package.Input(x.shape[1:]), Mine(name="inside")], name="nested"
    )
    return package.Model(image, nested(x))


@pytest.mark.parametrize(
    ("source", "there", "back"), CONVERSIONS, ids=["keras", "tf_keras"]
)
def test_layers_without_a_counterpart_are_all_listed(source, there, back):
    listed = (
        r"also: custom \(Mine\), code \(Lambda\), coded \(Conv2D\), inside "
        r"\(Mine\)\. Replace"
    )
    with pytest.raises(NotImplementedError, match=listed):
        there(unfit(packages[source]))


def test_operations_between_layers_are_listed_too():
    three = packages["keras"]
    image = three.Input((2,))
    model = three.Model(image, three.layers.Dense(2)(image * 2.0 + 1.0))
    with pytest.raises(NotImplementedError, match=r"\(Multiply\), .*\(Add\)"):
        to_tf_keras(model)


@pytest.mark.parametrize(
    ("source", "there", "back"), CONVERSIONS, ids=["keras", "tf_keras"]
)
def test_what_cannot_be_converted_is_refused(source, there, back):
    package = packages[source]
    unbuilt = package.Sequential([package.layers.Dense(2)])
    with pytest.raises(ValueError, match="is built and has one input and one"):
        there(unbuilt)
    with pytest.raises(TypeError, match=f"must be a model of {source}\\. "):
        there("network.keras")


def test_calls_with_several_tensors_are_refused():
    three = packages["keras"]
    sequence = three.Input((4, 2))
    state = three.layers.GlobalMaxPooling1D()(sequence)
    x = three.layers.GRU(2, name="gru")(sequence, initial_state=state)
    with pytest.raises(NotImplementedError, match="a call of 'gru' with more"):
        to_tf_keras(three.Model(sequence, x))


def test_attention_is_refused():
    two = packages["tf_keras"]
    image = two.Input((4, 2))
    x = two.layers.MultiHeadAttention(1, 2, name="attention")(image, image)
    with pytest.raises(NotImplementedError, match="also: attention"):
        to_keras(two.Model(image, x))
