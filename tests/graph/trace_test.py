"""What a trace finds, runs again, enters and refuses."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.graph import Trace

X = np.random.default_rng(0).random((3, 4)).astype(np.float32)


def small():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="relu"),
            keras.layers.Dense(2),
        ]
    )


def replayed(model):
    """Types of the nodes, the value, and the value of running them again."""
    types = []

    @tf.function(autograph=False)
    def run(x):
        trace = Trace(model, x)
        values = {trace.input: x}
        for node in trace.nodes[1:]:
            values[node] = node.run(*(values[d] for d in node.dependent))
        types.extend(node.type for node in trace.nodes)
        return trace.value, values[trace.output]

    value, again = run(X)
    np.testing.assert_array_equal(value, again)
    return types, value


def test_only_what_depends_on_the_input_is_a_node():
    types, value = replayed(small())
    assert types == ["Input", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    assert value.shape == (3, 2)


def test_a_savedmodel_is_entered(tmp_path):
    network = small()
    tfr.export(network, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    serve = loaded.signatures["serving_default"]
    types, value = replayed(lambda x, training: serve(image=x)["logits"])
    assert types == ["Input", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    np.testing.assert_allclose(value, network(X), atol=1e-6)


def test_functions_within_functions_are_entered_and_shared_once():
    weights = tf.Variable(tf.ones([4, 2]))

    @tf.function
    def inner(x):
        return tf.matmul(x, weights * 2.0)

    @tf.function
    def outer(x):
        return inner(x) + tf.reshape(inner(x), tf.shape(inner(x)))

    types, value = replayed(lambda x, training: outer(x))
    assert types.count("MatMul") == 2
    assert types[-1] == "AddV2"
    np.testing.assert_allclose(value, 4 * X.sum(1, keepdims=True) + [0, 0])


def test_gradients_pass_from_a_value_run_again_to_the_weights():
    network = small()

    @tf.function(autograph=False)
    def total(x):
        trace = Trace(network, x)
        values = {trace.input: 2.0 * x}
        for node in trace.nodes[1:]:
            values[node] = node.run(*(values[d] for d in node.dependent))
        return tf.reduce_sum(values[trace.output])

    with tf.GradientTape() as tape:
        found = total(X)
    gradients = tape.gradient(found, network.trainable_variables)
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(network(2.0 * X))
    wanted = tape.gradient(expected, network.trainable_variables)
    for a, b in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "error", "sentence"),
    [
        (lambda x: tf.zeros([3, 2]) + 1.0, ValueError, "doesn't depend"),
        (
            lambda x: x + tf.random.uniform(tf.shape(x)),
            ValueError,
            "random op RandomUniform",
        ),
        (
            lambda x: tf.boolean_mask(x, x[0] > 0.5, axis=1),
            NotImplementedError,
            "fixed shapes",
        ),
    ],
)
def test_what_cannot_be_traced_is_refused(function, error, sentence):
    @tf.function(autograph=False)
    def traced(x):
        return Trace(lambda x, training: function(x), x).value

    with pytest.raises(error, match=sentence):
        traced(X)


def test_a_trace_needs_a_graph():
    with pytest.raises(ValueError, match=r"inside a tf\.function"):
        Trace(small(), X)
