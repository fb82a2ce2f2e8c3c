"""What no verifier takes is said in one sentence, before anything runs."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

LINF = tfr.threats.Linf(0.1)
X = np.random.default_rng(0).uniform(size=(6, 4)).astype("float32")
Y = np.arange(6) % 2
CROWN = tfr.verifiers.CROWN(LINF)


class Own(keras.layers.Layer):
    """A layer that is a function."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return tf.ensure_shape(self.function(x), x.shape)

    def compute_output_shape(self, shape):
        return shape


def network(function):
    return keras.Sequential(
        [
            keras.Input((4,)),
            Own(function, name="odd"),
            keras.layers.Dense(2),
        ]
    )


CALLS = {
    "margins": lambda model: CROWN.margins(model, X, Y),
    "bounds": lambda model: tfr.bounds(model, X, 0.1),
    "certify": lambda model: tfr.certify(model, (X, Y), CROWN, verbose=0),
}
every_call = pytest.mark.parametrize("call", CALLS)


@every_call
def test_all_ops_without_a_rule_are_named_with_their_layer(call):
    model = network(lambda x: tf.math.lgamma(tf.math.digamma(x + 1) + 3))
    with pytest.raises(NotImplementedError) as caught:
        CALLS[call](model)
    sentence = str(caught.value)
    for op in ("Digamma", "Lgamma"):
        assert f"no rule to bound the op {op} at " in sentence
    assert "odd" in sentence and "Replace the layer, or add" in sentence


@every_call
def test_a_random_layer_is_refused_as_random(call):
    model = network(lambda x: x + tf.random.normal(tf.shape(x)))
    message = "random op RandomStandardNormal|otherwise when it is called"
    with pytest.raises(ValueError, match=message):
        CALLS[call](model)


def test_a_random_function_in_a_graph_is_refused_as_random():
    inner = tf.function(lambda x: x + tf.random.normal(tf.shape(x)))
    with pytest.raises(ValueError, match="random op RandomStandardNormal"):
        CROWN.margins(network(inner), X, Y)


def test_state_in_python_is_refused_where_it_shows():
    calls = []

    def counting(x):
        calls.append(1)
        return x * float(len(calls))

    with pytest.raises(ValueError, match="layers with state in Python"):
        tfr.certify(network(counting), (X, Y), CROWN, verbose=0)


@every_call
def test_python_inside_of_a_graph_is_refused(call):
    model = network(lambda x: tf.numpy_function(np.abs, [x], tf.float32))
    with pytest.raises(NotImplementedError, match="op PyFunc .*calls Python"):
        CALLS[call](model)


def test_a_convolution_of_volumes_with_a_bias_is_bounded():
    layer = keras.layers.Conv3D(2, 2, activation="relu")
    model = keras.Sequential(
        [
            keras.Input((3, 3, 3, 2)),
            layer,
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    volumes = np.random.default_rng(0).uniform(0.2, 0.8, (4, 3, 3, 3, 2))
    volumes, y = volumes.astype("float32"), Y[:4]
    layer.bias.assign([0.3, -0.2])
    proven = CROWN.margins(model, volumes, y).numpy()
    logits = np.asarray(model(volumes))
    margins = logits[np.arange(4), y][:, np.newaxis] - logits
    still = tfr.verifiers.CROWN(tfr.threats.Linf(0.0))
    exact = still.margins(model, volumes, y)
    np.testing.assert_allclose(exact, margins, atol=1e-4)
    for seed in range(20):
        z = np.asarray(model(LINF.sample(tf.constant(volumes), seed)))
        found = z[np.arange(4), y][:, np.newaxis] - z
        assert np.all(found >= proven)
