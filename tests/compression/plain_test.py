"""Back to stock Keras layers, without a difference of one bit."""

import numpy as np
import pytest

import tfrobust as tfr
from examples import networks
from tfrobust.backend import keras
from tfrobust.compression import plain, subnetwork
from tfrobust.layers import BinaryDense, SparseBinaryDense

RNG = np.random.default_rng(0)


def images(network):
    return RNG.random((8, *network.input_shape[1:]), np.float32)


@pytest.mark.parametrize("name", ["digits_cnn", "resnet18"])
def test_the_outputs_are_equal_and_the_layers_stock(name, tmp_path):
    network = networks.NETWORKS[name](1, (8, 8, 3), 3)
    network = subnetwork(network, density=0.3)
    x = images(network)
    network(x, training=True)  # Moves the statistics of normalisation.
    stock = plain(network)
    for layer in stock.layers:
        assert type(layer).__module__.startswith(f"{keras.__name__}.")
    assert [layer.name for layer in stock.layers] == [
        layer.name for layer in network.layers
    ]
    difference = np.abs(np.subtract(stock(x), network(x)))
    assert np.max(difference) == 0.0
    stock.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(loaded(x), stock(x))


def test_averaged_scores_make_the_plain_kernels():
    network = subnetwork(networks.digits_cnn(2), density=0.3)
    x, model = images(network), tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.9),
        run_eagerly=True,
    )
    # At its end, `fit` would replace the weights by the averaged ones.
    for _ in range(4):
        model.train_on_batch(x, np.arange(8) % 3)
    logits = model.predict(x, verbose=0)
    np.testing.assert_array_equal(plain(model).predict(x, verbose=0), logits)
    assert np.any(plain(network).predict(x, verbose=0) != logits)


def test_binary_layers_become_plain_too():
    network = keras.Sequential([keras.Input((4,)), BinaryDense(3)])
    x, stock = images(network), plain(network)
    np.testing.assert_array_equal(stock(x), network(x))
    assert set(np.unique(stock.get_weights()[0])) == {-1, 1}


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(ValueError, match="'digits_cnn', which has none"):
        plain(networks.digits_cnn())


def test_frozen_layers_stay_frozen():
    layer = BinaryDense(3, trainable=False, name="frozen")
    stock = plain(keras.Sequential([keras.Input((4,)), layer]))
    assert not stock.get_layer("frozen").trainable


@pytest.mark.parametrize("beside", [False, True])
def test_a_layer_that_is_applied_at_each_step_becomes_plain(beside, tmp_path):
    sparse = SparseBinaryDense(5, density=0.5, activation="relu", name="inner")
    steps = keras.layers.TimeDistributed(sparse, name="steps", trainable=False)
    last = SparseBinaryDense if beside else keras.layers.Dense
    network = keras.Sequential(
        [keras.Input((3, 4)), steps, keras.layers.Flatten(), last(2)]
    )
    x, stock = images(network), plain(network)
    np.testing.assert_array_equal(stock(x), network(x))
    found = stock.get_layer("steps")
    assert type(found.layer) is keras.layers.Dense
    assert found.layer.name == "inner" and not found.trainable
    assert type(stock.layers[-1]) is keras.layers.Dense
    stock.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(loaded(x), stock(x))


@keras.utils.register_keras_serializable("plain_test")
class Around(keras.layers.Wrapper):
    """A wrapper of one's own, of which nobody knows how to make another."""

    def call(self, inputs):
        return self.layer(inputs)


@pytest.mark.parametrize("beside", [False, True])
def test_a_wrapper_around_such_a_layer_is_refused_by_its_name(beside):
    inner = SparseBinaryDense(4, density=0.5, name="inner")
    layers = [Around(inner, name="around")]
    layers += [BinaryDense(3)] if beside else []
    network = keras.Sequential([keras.Input((4,)), *layers])
    with pytest.raises(ValueError, match=r"around \(Around\) around inner"):
        plain(network)
