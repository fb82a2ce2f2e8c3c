"""Copies of networks of many structures: equal outputs, or a sentence."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.compression.conftest import tf_keras_only
from tfrobust import compression
from tfrobust.backend import NAME, keras
from tfrobust.compression.cloning import duplicate, leaves
from tfrobust.compression.tfmot import tfmot
from tfrobust.layers import BinaryConv2D, BinaryDense, SparseBinaryConv2D

layers = keras.layers
RNG = np.random.default_rng(0)
SHAPE = (6, 6, 2)
X = RNG.random((4, *SHAPE), np.float32)


@keras.saving.register_keras_serializable("copies_test")
class Scale(layers.Layer):
    """Times a number that its configuration holds or, if told, hides."""

    def __init__(self, by=2.0, **kwargs):
        super().__init__(**kwargs)
        self.by = self.hidden = by

    def call(self, inputs):
        return inputs * self.hidden

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "by": self.by}


def adapted(shape=SHAPE):
    """A normalisation whose statistics are far from where they begin."""
    layer = layers.Normalization()
    layer.build((None, *shape))
    layer.adapt(9 * RNG.random((16, *shape), np.float32) + 5)
    return layer


def sequential(*parts, conv=layers.Conv2D, dense=layers.Dense):
    last = [layers.ReLU(), layers.Flatten(), dense(3, name="last")]
    first = [keras.Input(SHAPE), *parts, conv(4, 3, name="conv")]
    return keras.Sequential(first + last, name="net")


def functional(middle):
    image = keras.Input(SHAPE, name="image")
    x = layers.Flatten()(middle(image))
    return keras.Model(image, layers.Dense(3, name="last")(x), name="net")


def conv(filters=2, **kwargs):
    return layers.Conv2D(filters, 3, padding="same", **kwargs)


def operators(x):
    x = 2 * x - 1
    return conv()(x) + conv()(x) * x


def functions(x):
    if NAME == "keras":
        x = keras.ops.relu(conv()(x))
        return keras.ops.reshape(keras.ops.concatenate([x, x]), (-1, 72))
    return tf.reshape(tf.concat([x, tf.nn.relu(conv()(x))], 0), [-1, 72])


def shared(x):
    twice = conv(name="twice")
    return layers.Add()([twice(twice(x)), x])


def nested(x):
    given = keras.Input(SHAPE)
    inside = keras.Model(given, conv()(adapted()(given)) + given, name="inside")
    return inside(inside(x))


def tied(x):
    """A layer of its own and of a model inside."""
    layer = conv(name="tied")
    inside = keras.Sequential([keras.Input(SHAPE), layer], name="inside")
    return inside(layer(x))


def binned(x):
    layer = layers.Discretization(num_bins=4)
    layer.adapt(RNG.random(100, np.float32))
    return layers.Rescaling(0.5)(layer(x))


def distributed(x):
    row = keras.Sequential([keras.Input((6, 2)), adapted((6, 2))])
    return layers.TimeDistributed(row)(x)


def binary(x):
    x = BinaryConv2D(2, 3, padding="same")(2 * adapted()(x) - 1)
    return SparseBinaryConv2D(2, 1, density=0.5)(x) + x


NETWORKS = {
    "normalization": lambda: sequential(adapted()),
    "batch normalization": lambda: sequential(
        layers.Rescaling(0.1, -1.0),
        conv(4),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
    ),
    "custom": lambda: sequential(Scale(3.0)),
    "frozen": lambda: sequential(conv(trainable=False, name="frozen")),
    "all binary": lambda: sequential(
        adapted(), conv=BinaryConv2D, dense=BinaryDense
    ),
    **{
        middle.__name__: lambda middle=middle: functional(middle)
        for middle in (
            operators,
            functions,
            shared,
            nested,
            tied,
            binned,
            distributed,
            binary,
        )
    },
}


def built(name):
    """A network of the table, with moved statistics."""
    model = NETWORKS[name]()
    for layer in leaves(model):
        if type(layer) is layers.BatchNormalization:
            weights = [RNG.random(w.shape) + 0.5 for w in layer.get_weights()]
            layer.set_weights(weights)
    return model


def half():
    return tfmot().sparsity.keras.ConstantSparsity(0.5, 0)


def pruned(model):
    return compression.strip(compression.prune(model, half()))


FUNCTIONS = {
    "duplicate": duplicate,
    "plain": compression.plain,
    "compact": compression.compact,
    "fold": compression.fold,
    "convert": compression.to_tf_keras
    if NAME == "keras"
    else compression.to_keras,
}
if NAME == "tf_keras":
    FUNCTIONS |= {
        "prune": lambda model: compression.prune(model, half()),
        "pruned": pruned,
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_every_copy_has_the_outputs_of_its_original_or_is_refused(name):
    model, refused = built(name), []
    logits = np.asarray(model(X, training=False))
    for function, change in FUNCTIONS.items():
        try:
            copy = change(model)
        except (NotImplementedError, ValueError) as error:
            assert "Received" in str(error)
            refused.append(function)
            continue
        found = np.asarray(copy(X, training=False))
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)
    assert "duplicate" not in refused
    # What can be done must not be refused.
    if name in ("normalization", "batch normalization", "frozen", "shared"):
        assert refused == ["plain"]
    if name in ("all binary", "binary"):
        assert "plain" not in refused


@pytest.mark.parametrize("name", ["normalization", "nested", "distributed"])
def test_statistics_of_a_normalization_survive_every_copy(name):
    model = built(name)
    logits = np.asarray(model(X, training=False))
    for change in (duplicate, compression.compact, compression.fold):
        found = np.asarray(change(model)(X, training=False))
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)


def test_a_vocabulary_survives_a_copy():
    words = layers.IntegerLookup(output_mode="multi_hot", max_tokens=5)
    words.adapt(np.array([[7, 8], [9, 9]]))
    given = keras.Input((2,), dtype="int64")
    model = keras.Model(given, layers.Dense(3)(words(given)))
    x = np.array([[7, 9], [8, 5]])
    np.testing.assert_array_equal(duplicate(model)(x), model(x))


def test_what_only_a_layer_itself_knows_is_not_lost_in_silence():
    changes = dict(FUNCTIONS)
    del changes["convert"]  # It takes built-in layers only.
    changes["subnetwork"] = lambda model: compression.subnetwork(model, 0.5)
    if NAME == "tf_keras":
        changes["cluster"] = lambda model: compression.cluster(model, 4)
    for name, change in changes.items():
        binary = {"conv": BinaryConv2D} if name == "plain" else {}
        model = sequential(Scale(name="scale"), **binary)
        model.get_layer("scale").hidden = 5.0
        with pytest.raises(ValueError, match="The outputs of the copy differ"):
            change(model)


def test_nan_is_no_equal_output():
    model = sequential(Scale(np.nan))
    with pytest.raises(ValueError, match="The outputs of the copy differ by n"):
        duplicate(model)


def test_a_layer_that_cannot_be_made_anew_is_named():
    class Unsaved(layers.Layer):
        def __init__(self, by, **kwargs):
            super().__init__(**kwargs)
            self.by = by

        def call(self, inputs):
            return inputs * self.by

        def get_config(self):
            return {"name": self.name}

    with pytest.raises(ValueError, match=r"Received: odd \(Unsaved\), with"):
        duplicate(sequential(Unsaved(by=2.0, name="odd")))


def test_what_models_share_is_shared_in_the_copy():
    model = built("tied")
    copy = duplicate(model)
    assert len(copy.weights) == len(model.weights)


@pytest.mark.parametrize("name", ["operators", "functions", "nested"])
def test_networks_with_operations_become_subnetworks(name):
    network = compression.subnetwork(built(name), density=0.5)
    stock = compression.plain(network)
    np.testing.assert_array_equal(stock(X), network(X))
    assert compression.report(network).layers


def test_networks_with_operations_are_exported(tmp_path):
    model = built("binary")
    folder = tfr.export(model, tmp_path / "served")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = served(image=tf.constant(X))["logits"]
    np.testing.assert_allclose(found, model(X), rtol=1e-4, atol=1e-4)
    path = tmp_path / "net.tflite"
    assert tfr.export_litert(model, path, calibration=X).exists()


@tf_keras_only
def test_quantisation_lists_operations():
    with pytest.raises(NotImplementedError, match=r"add\S* \(TFOpLambda\)"):
        compression.quantize(built("operators"), X)


def test_frozen_layers_stay_frozen_in_every_copy():
    for name in set(FUNCTIONS) - {"plain"}:
        copy = FUNCTIONS[name](built("frozen"))
        assert not copy.get_layer("frozen").trainable
