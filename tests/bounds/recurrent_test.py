"""Recurrent layers are bounded step by step, if they are unrolled."""

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


LAYERS = {
    "simple": lambda: layers.SimpleRNN(2, unroll=True),
    "simple, all steps": lambda: layers.SimpleRNN(
        2, unroll=True, return_sequences=True, go_backwards=True
    ),
    "long": lambda: layers.LSTM(2, unroll=True),
    "gated": lambda: layers.GRU(2, unroll=True),
    "gated, first": lambda: layers.GRU(2, unroll=True, reset_after=False),
    "both directions": lambda: layers.Bidirectional(
        layers.SimpleRNN(2, unroll=True)
    ),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_an_unrolled_layer_is_bounded(name):
    kinds = verifiers.IBP, verifiers.CROWN
    model = built(LAYERS[name]())
    found = slack(model, SHAPE, -1.0, 1.0, kinds, widest=0.05)
    assert found[1] < 0.7 * found[0]


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_loop_is_refused_in_one_sentence(kind):
    model = built(getattr(layers, kind)(2))
    verifier, x = verifiers.CROWN(threats.Linf(0.1)), tf.fill([2, *SHAPE], 0.5)
    with pytest.raises(NotImplementedError, match="unroll=True"):
        verifier.margins(model, x, [0, 1])


def test_a_first_state_that_isnt_0_is_only_known_by_its_own_rounding():
    matrix = tf.constant(
        np.random.default_rng(0).normal(size=(2, 2)), tf.float32
    )

    def model(x, training=False):
        state = tf.ones([tf.shape(x)[0], 2])
        return tf.tanh(x + tf.matmul(state, matrix))

    trace = Trace(model, tf.zeros([2, 2]))
    assert trace.nodes[1].inputs[1] is None
