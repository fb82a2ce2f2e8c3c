"""Normalisation inside of kernels: what folds, and what stays."""

import numpy as np
import pytest

from examples import networks
from tfrobust.backend import keras
from tfrobust.compression import fold, packing, plain, subnetwork

layers = keras.layers
RNG = np.random.default_rng(0)


def drawn(model):
    """Gives every weight without axes of a kernel a random value."""
    model.set_weights(
        [
            RNG.random(w.shape) + 0.5 if w.ndim == 1 else w
            for w in model.get_weights()
        ]
    )
    return model


def gap(model, folded):
    x = RNG.random((4, *model.input_shape[1:]), np.float32)
    outputs = np.asarray(model(x, training=False))
    difference = np.asarray(folded(x, training=False)) - outputs
    return np.max(np.abs(difference)) / np.max(np.abs(outputs))


def normalizations(model):
    return [x for x in model.layers if type(x) is layers.BatchNormalization]


def test_a_kernel_and_a_bias_by_hand():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(1),
            layers.BatchNormalization(epsilon=0.0),
        ]
    )
    values = [[[1.0], [-1.0]], [3.0], [8.0], [5.0], [1.0], [16.0]]
    model.set_weights([np.asarray(value) for value in values])
    # 8 (x - 1) / sqrt(16) + 5, where x has the bias 3.
    kernel, bias = fold(model).get_weights()
    np.testing.assert_allclose(kernel, [[2.0], [-2.0]])
    np.testing.assert_allclose(bias, [9.0])


@pytest.mark.parametrize(
    ("name", "left"), [("resnet18", 0), ("vgg16", 0), ("preact_resnet18", 9)]
)
def test_networks_keep_their_outputs(name, left):
    model = drawn(networks.NETWORKS[name](1, (32, 32, 3), 3))
    folded = fold(model)
    # Behind a sum there is no kernel to fold into.
    assert len(normalizations(folded)) == left
    assert gap(model, folded) < 1e-5


def test_every_kind_of_kernel_folds_and_signs_get_a_magnitude_a_channel():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", strides=2),
            layers.BatchNormalization(scale=False),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
            layers.BatchNormalization(center=False),
            layers.Flatten(),
            layers.Dense(3),
        ],
        name="small",
    )
    model = plain(subnetwork(model, density=0.5))
    model = drawn(model)
    folded = fold(model)
    assert folded.name == "small"
    assert not normalizations(folded)
    assert gap(model, folded) < 1e-5
    for layer in (folded.layers[1], folded.layers[-1]):
        kernel = layer.get_weights()[0]
        assert len(np.unique(np.abs(kernel[kernel != 0]))) > 1
        assert packing.pack(kernel).scheme != packing.DENSE


def test_what_cannot_be_folded_stays():
    image = keras.Input((4, 4, 3))
    activated = layers.Conv2D(3, 1, activation="relu", name="activated")(image)
    one = layers.BatchNormalization(name="one")(activated)
    read = layers.Conv2D(3, 1, name="read")(one)
    two = layers.BatchNormalization(name="two")(read)
    x = layers.Add()([read, two])
    shared = layers.BatchNormalization(name="shared")
    x = shared(shared(layers.Conv2D(3, 1, name="before")(x)))
    x = layers.BatchNormalization(axis=1, name="rows")(
        layers.Conv2D(3, 1, name="rowwise")(x)
    )
    x = layers.BatchNormalization(name="folds")(layers.Conv2D(3, 1)(x))
    model = drawn(keras.Model(image, layers.GlobalAveragePooling2D()(x)))
    folded = fold(model)
    names = [layer.name for layer in normalizations(folded)]
    assert names == ["one", "two", "shared", "rows"]
    assert gap(model, folded) < 1e-5
