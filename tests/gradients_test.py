"""Gradients by the input, also where a faster convolution gives them."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.gradients import input_gradient

pytestmark = pytest.mark.keras_free

EXPLICIT = [[0, 0], [2, 1], [0, 3], [0, 0]]
FASTER = [
    # Height, width, channels, kernel, stride, padding.
    (28, 28, 1, (4, 4), 2, "SAME"),
    (32, 32, 3, (7, 7), 2, "SAME"),
    (9, 7, 2, (3, 3), 2, "SAME"),
    (9, 8, 4, (3, 2), 2, "VALID"),
    (11, 12, 1, (2, 2), 3, "VALID"),
    (10, 13, 3, (5, 4), 3, "SAME"),
    (8, 9, 2, (3, 4), 2, EXPLICIT),
    (9, 9, 1, (3, 3), 1, "SAME"),
    (10, 7, 3, (1, 4), 1, "VALID"),
    (5, 6, 1, (2, 3), 1, EXPLICIT),
]
AS_BEFORE = [
    (9, 9, 1, (1, 1), 1, "SAME"),
    (9, 9, 8, (3, 3), 2, "SAME"),
]


def problem(height, width, channels, size, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, height, width, channels)).astype("f")
    kernel = rng.normal(size=(*size, channels, 5)).astype("f")

    def model(x, training=False):
        found = tf.nn.conv2d(x, kernel, stride, padding)
        return tf.reduce_sum(found**3, [1, 2])

    def gradient(x):
        return input_gradient(model, x, lambda z: tf.reduce_sum(z, 1))[2]

    return x, gradient


def ops(traced):
    return [op.type for op in traced.graph.get_operations()]


@pytest.mark.parametrize("shape", FASTER + AS_BEFORE)
def test_a_graph_gives_the_gradients_of_a_tape(shape):
    x, gradient = problem(*shape)
    traced = tf.function(gradient).get_concrete_function(tf.constant(x))
    found, expected = traced(tf.constant(x)), gradient(x=tf.constant(x))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)
    stock = "Conv2DBackpropInput" in ops(traced)
    assert stock == (shape in AS_BEFORE)


def test_unknown_sizes_are_left_to_tensorflow():
    _, gradient = problem(*FASTER[0])
    spec = tf.TensorSpec([None, None, None, 1])
    traced = tf.function(gradient).get_concrete_function(spec)
    assert "Conv2DBackpropInput" in ops(traced)


def test_a_kernel_made_of_the_input_is_differentiated_too():
    def model(x, training=False):
        kernel = tf.reshape(tf.reduce_mean(x, 0)[:4, :4], [2, 2, 1, 4])
        return tf.reduce_sum(tf.nn.conv2d(x, kernel, 2, "SAME") ** 2, [1, 2])

    def gradient(x):
        return input_gradient(model, x, lambda z: tf.reduce_sum(z, 1))[2]

    x = np.random.default_rng(0).normal(size=(3, 6, 6, 1))
    x = tf.constant(x, tf.float32)
    np.testing.assert_allclose(
        tf.function(gradient)(x), gradient(x), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "logits",
    [
        lambda x: tf.one_hot(tf.argmax(x, 1), 3),
        lambda x: tf.raw_ops.PreventGradient(input=x, message="never"),
    ],
    ids=["none", "prevented"],
)
def test_a_model_without_a_gradient_is_refused(logits, compiled):
    def model(x, training=False):
        return logits(x)

    def gradient(x):
        return input_gradient(model, x, lambda z: z[:, 0])

    call = tf.function(gradient) if compiled else gradient
    with pytest.raises(ValueError, match="No gradient reaches the model"):
        call(tf.zeros([2, 3]))
