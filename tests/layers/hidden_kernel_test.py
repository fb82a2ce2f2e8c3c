"""What every layer with a hidden kernel must do; one row buys it all."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import layers
from tfrobust.backend import keras

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 7, 7, 3)).astype(np.float32)
SPARSE = {"density": 0.3, "activation": "relu", "seed": 5}
ROWS = {
    "dense": (layers.SparseBinaryDense, {"units": 5, **SPARSE}),
    "convolution": (
        layers.SparseBinaryConv2D,
        {"filters": 5, "kernel_size": 3, "padding": "same", **SPARSE},
    ),
    "strided": (
        layers.SparseBinaryConv2D,
        {"filters": 5, "kernel_size": (3, 2), "strides": 2, **SPARSE},
    ),
    "dilated": (
        layers.SparseBinaryConv2D,
        {"filters": 5, "kernel_size": 3, "dilation_rate": 2, **SPARSE},
    ),
    "depthwise": (
        layers.SparseBinaryDepthwiseConv2D,
        {"kernel_size": 3, "strides": 2, "depth_multiplier": 2, **SPARSE},
    ),
    "binary dense": (layers.BinaryDense, {"units": 5, "activation": "relu"}),
    "binary convolution": (
        layers.BinaryConv2D,
        {"filters": 5, "kernel_size": 3, "strides": 2, "stochastic": True},
    ),
}
every_layer = pytest.mark.parametrize("row", list(ROWS))


def make(row, **options):
    kind, arguments = ROWS[row]
    return kind(**{**arguments, **options})


def network(row):
    return keras.Sequential(
        [
            keras.Input(IMAGES.shape[1:]),
            make(row),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


@every_layer
def test_it_is_the_stock_layer_with_its_kernel(row):
    layer = make(row)
    outputs = layer(IMAGES)
    plain = layer.plain()
    assert type(plain).__module__.startswith(keras.__name__)
    assert plain.name == layer.name and not plain.use_bias
    np.testing.assert_array_equal(plain.get_weights()[0], layer.kernel)
    np.testing.assert_array_equal(plain(IMAGES), outputs)
    shape = layer.compute_output_shape(IMAGES.shape)
    assert tuple(shape) == outputs.shape == plain(IMAGES).shape


def test_a_dense_layer_takes_rows_too():
    layer = layers.SparseBinaryDense(5, density=0.5)
    rows = IMAGES[:, 0, 0]
    np.testing.assert_array_equal(layer(rows), layer.plain()(rows))


@every_layer
def test_a_saved_layer_is_the_one_that_is_loaded(row, tmp_path):
    model = network(row)
    layer = model.layers[0]
    layer.set_weights([RNG.normal(size=w.shape) for w in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    np.testing.assert_array_equal(loaded.layers[0].kernel, layer.kernel)


@every_layer
def test_mixed_precision_rounds_only_the_kernel_that_is_applied(row):
    layer, exact = make(row, dtype="mixed_float16"), make(row)
    exact(IMAGES)
    outputs = layer(IMAGES)
    layer.set_weights(exact.get_weights())
    assert outputs.dtype == tf.float16
    assert {np.asarray(w).dtype for w in layer.weights} == {np.dtype("float32")}
    assert layer.kernel.dtype == tf.float32
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(layer(IMAGES), tf.float32))
    (gradient,) = tape.gradient(loss, layer.trainable_variables)
    assert gradient.dtype == tf.float32
    np.testing.assert_array_equal(layer.kernel, exact.kernel)
    assert layer.plain()(IMAGES).dtype == tf.float16


@every_layer
def test_it_trains_without_robust_model(row):
    model = network(row)
    before = np.asarray(model.layers[0].kernel)
    model.compile(keras.optimizers.SGD(5.0), tfr.losses.CrossEntropy())
    model.fit(IMAGES, np.array([0, 1, 2, 1]), epochs=2, verbose=0)
    assert np.any(before != model.layers[0].kernel)
    np.testing.assert_array_equal(
        model.layers[0](IMAGES), model.layers[0].plain()(IMAGES)
    )
