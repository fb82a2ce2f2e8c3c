"""Recurrent layers, and layers of every step, are bounded step by step."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import threats, verifiers
from tfrobust.backend import keras
from tfrobust.graph import Trace

layers = keras.layers
SHAPE = 3, 2


def built(layer, shape=SHAPE):
    rng = np.random.default_rng(0)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    for weight in model.weights:
        weight.assign(0.6 * rng.normal(size=weight.shape))
    return model


def recurrent(unroll):
    """Layers by name, unrolled by Keras or loops."""
    return {
        "simple": lambda: layers.SimpleRNN(2, unroll=unroll),
        "simple, all steps": lambda: layers.SimpleRNN(
            2, unroll=unroll, return_sequences=True, go_backwards=True
        ),
        "long": lambda: layers.LSTM(2, unroll=unroll),
        "gated": lambda: layers.GRU(2, unroll=unroll),
        "gated, first": lambda: layers.GRU(2, unroll=unroll, reset_after=False),
        "both directions": lambda: layers.Bidirectional(
            layers.SimpleRNN(2, unroll=unroll, return_sequences=True)
        ),
    }


KINDS = verifiers.IBP, verifiers.CROWN


@pytest.mark.parametrize("name", list(recurrent(True)))
def test_a_loop_is_bounded_as_its_steps_are(name):
    unrolled, loop = (
        slack(built(recurrent(u)[name]()), SHAPE, -1.0, 1.0, KINDS, widest=0.05)
        for u in (True, False)
    )
    assert unrolled[1] < 0.7 * unrolled[0]
    np.testing.assert_allclose(loop, unrolled, rtol=1e-3)


def test_lines_through_gates_are_no_looser_than_intervals():
    kinds, shape = (verifiers.IBP, verifiers.CROWNIBP), (12, 3)
    found = slack(built(layers.LSTM(8), shape), shape, kinds=kinds)
    assert found[1] < found[0]


FILM = 2, 4, 4, 2
STEPS = {
    "convolved in a loop": lambda: layers.ConvLSTM2D(1, 3),
    "convolved, one axis": lambda: layers.TimeDistributed(layers.Conv1D(2, 2)),
    "convolution": lambda: layers.TimeDistributed(layers.Conv2D(2, 3)),
    "pooling": lambda: layers.TimeDistributed(layers.MaxPooling2D(2)),
    "dense": lambda: layers.TimeDistributed(layers.Dense(2)),
    "normalised": lambda: layers.TimeDistributed(layers.LayerNormalization()),
}


@pytest.mark.parametrize("name", list(STEPS))
def test_steps_of_images_are_bounded(name):
    shape = (2, 4, 2) if "one axis" in name else FILM
    found = slack(built(STEPS[name](), shape), shape, -1.0, 1.0, widest=0.02)
    assert np.all(found < 20)


def test_a_loop_of_a_savedmodel_is_bounded(tmp_path):
    model = built(layers.LSTM(2, return_sequences=True))
    tf.saved_model.save(model, str(tmp_path))
    kept = tf.saved_model.load(str(tmp_path))
    serve = kept.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    (answer,) = serve.structured_outputs

    def loaded(x, training=False):
        return serve(**{name: x})[answer]

    expected = slack(model, SHAPE, -1.0, 1.0, KINDS, widest=0.05)
    found = slack(loaded, SHAPE, -1.0, 1.0, KINDS, widest=0.05)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_loop_over_values_is_bounded():
    def model(x, training=False):
        def body(step, value):
            return step + 1, 0.5 * tf.nn.relu(value) + 0.1 * x

        return tf.while_loop(lambda step, value: step < 3, body, [0, x])[1]

    assert np.all(slack(model, (4,), -1.0, 1.0) < 1.0)


def test_a_loop_of_unknown_length_is_refused_in_one_sentence():
    def model(x, training=False):
        return tf.while_loop(
            lambda value: tf.reduce_sum(value) < 3.0,
            lambda value: (value + 1.0,),
            [x],
        )[0]

    verifier, x = verifiers.CROWN(threats.Linf(0.1)), tf.fill([2, 3], 0.5)
    with pytest.raises(NotImplementedError, match="number of steps isn't"):
        verifier.margins(model, x, [0, 1])


@pytest.mark.parametrize("inside", ["function", "loop"])
def test_what_a_body_makes_of_all_rows_is_no_constant(inside):
    """Rows that it is given are as many as examples, not one."""

    def added(x, rows):
        return x + tf.reduce_sum(rows, 0, keepdims=True)

    def model(x, training=False):
        rows = tf.ones([tf.shape(x)[0], 3])
        if inside == "function":
            return tf.function(added, autograph=False)(x, rows)
        return tf.while_loop(
            lambda step, value: step < 2,
            lambda step, value: (step + 1, added(value, rows)),
            [0, x],
        )[1]

    problem, *_ = verifiers.coverage(model, shape=(3,)).problems
    assert "mixes the examples" in problem


def test_a_first_state_that_isnt_0_is_only_known_by_its_own_rounding():
    matrix = tf.constant(
        np.random.default_rng(0).normal(size=(2, 2)), tf.float32
    )

    def model(x, training=False):
        state = tf.ones([tf.shape(x)[0], 2])
        return tf.tanh(x + tf.matmul(state, matrix))

    trace = Trace(model, tf.zeros([2, 2]))
    assert trace.nodes[1].inputs[1] is None


def test_what_a_function_returns_and_nobody_reads_is_no_matter():
    @tf.function(autograph=False)
    def twice(x):
        one = tf.cond(tf.constant(True), lambda: 1.0, lambda: 2.0)
        return 2.0 * x, one

    @tf.function(autograph=False)
    def outer(x):
        return twice(x)[0] + 1.0

    found = verifiers.coverage(lambda x, training: outer(x), shape=(3,))
    assert found.complete


def test_a_loop_that_ends_by_a_flag_is_refused():
    def model(x, training=False):
        return tf.while_loop(
            lambda on, value: on,
            lambda on, value: (tf.reduce_sum(value) < 3.0, value + 1.0),
            [True, x],
        )[1]

    with pytest.raises(NotImplementedError, match="number of steps isn't"):
        verifiers.coverage(model, shape=(3,))
