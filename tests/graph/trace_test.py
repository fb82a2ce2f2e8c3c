"""What a trace finds, runs again, enters and refuses."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.graph import Trace, run_nodes

X = np.random.default_rng(0).random((3, 4)).astype(np.float32)


def small():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="relu"),
            keras.layers.Dense(2),
        ]
    )


def compiled(function):
    return tf.function(function, autograph=False)


in_and_outside_of_graphs = pytest.mark.parametrize(
    "wrap", [compiled, lambda function: function], ids=["graph", "eager"]
)


def again(trace, x):
    """The value of running all nodes again, for other inputs."""
    return run_nodes(trace.nodes[1:], {trace.input: x})


def replayed(model, wrap):
    """Types of the nodes, the value, and the value of running them again."""
    types = []

    @wrap
    def run(x):
        trace = Trace(model, x)
        types.extend(node.type for node in trace.nodes)
        return trace.value, again(trace, x)

    value, repeated = run(tf.constant(X))
    np.testing.assert_array_equal(value, repeated)
    return types, value


@in_and_outside_of_graphs
def test_only_what_depends_on_the_input_is_a_node(wrap):
    types, value = replayed(small(), wrap)
    assert types == ["Input", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    assert value.shape == (3, 2)


@in_and_outside_of_graphs
def test_a_savedmodel_is_entered(tmp_path, wrap):
    network = small()
    tfr.export(network, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    serve = loaded.signatures["serving_default"]
    types, value = replayed(lambda x, training: serve(image=x)["logits"], wrap)
    assert types == ["Input", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    np.testing.assert_allclose(value, network(X), atol=1e-6)


@in_and_outside_of_graphs
def test_functions_within_functions_are_entered_and_shared_once(wrap):
    weights = tf.Variable(tf.ones([4, 2]))

    @tf.function
    def inner(x):
        return tf.matmul(x, weights * 2.0)

    @tf.function
    def outer(x):
        return inner(x) + tf.reshape(inner(x), tf.shape(inner(x)))

    types, value = replayed(lambda x, training: outer(x), wrap)
    assert types.count("MatMul") == 2
    assert types[-1] == "AddV2"
    np.testing.assert_allclose(value, 4 * X.sum(1, keepdims=True) + [0, 0])


@in_and_outside_of_graphs
def test_gradients_pass_from_a_value_run_again_to_the_weights(wrap):
    network = small()

    @wrap
    def total(x):
        return tf.reduce_sum(again(Trace(network, x), 2.0 * x))

    with tf.GradientTape() as tape:
        found = total(tf.constant(X))
    gradients = tape.gradient(found, network.trainable_variables)
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(network(2.0 * X))
    wanted = tape.gradient(expected, network.trainable_variables)
    for a, b in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def doubled(x):
    """By NumPy, of which TensorFlow doesn't know the shape."""
    return tf.numpy_function(lambda x: 2 * x, [x], tf.float32)


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
        (
            # A constant is made from a shape that nobody knows.
            lambda x: doubled(x) + 2 * tf.ones_like(doubled(x)),
            NotImplementedError,
            "calls Python",
        ),
    ],
)
@in_and_outside_of_graphs
def test_what_cannot_be_traced_is_refused(function, error, sentence, wrap):
    @wrap
    def traced(x):
        return Trace(lambda x, training: function(x), x).value

    with pytest.raises(error, match=sentence):
        traced(tf.constant(X))


def test_what_is_worked_out_once_serves_loops_and_stands_outside_of_them():
    """Also where a loop asks first."""
    calls = []

    @compiled
    def run(x):
        (node,) = Trace(lambda x, training: x * 3.0, x).nodes[1:]

        def three():
            return node.kept.value(
                "three", lambda: calls.append(0) or 1.0 * node.inputs[1]
            )

        (total,) = tf.while_loop(
            lambda total: total < 10.0, lambda total: (total + three(),), (0.0,)
        )
        return total + three()

    assert float(run(tf.constant(X))) == 15.0
    assert len(calls) == 1
