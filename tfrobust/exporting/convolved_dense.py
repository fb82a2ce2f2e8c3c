"""A dense layer written as a convolution."""

import tensorflow as tf

from tfrobust.backend import keras


class ConvolvedDense(keras.layers.Layer):
    """Applies a dense layer as a convolution of one pixel.

    LiteRT stores the kernels of both as their kept weights alone, but its
    default interpreter (XNNPACK) runs only convolutions from there: it fails
    to prepare a fully connected op whose weights are unpacked at load.

    Args:
        dense: The built Dense layer, whose weights are used.
    """

    def __init__(self, dense):
        super().__init__(name=dense.name, dtype=dense.dtype)
        self._dense = dense

    def call(self, inputs):
        kernel = tf.cast(self._dense.kernel, inputs.dtype)
        pixels = tf.reshape(inputs, [-1, 1, 1, kernel.shape[0]])
        outputs = tf.nn.conv2d(
            pixels, kernel[tf.newaxis, tf.newaxis], strides=1, padding="VALID"
        )
        shape = tf.concat([tf.shape(inputs)[:-1], [kernel.shape[1]]], axis=0)
        shape = shape if inputs.shape.rank > 2 else [-1, kernel.shape[1]]
        outputs = tf.reshape(outputs, shape)
        if self._dense.use_bias:
            outputs += tf.cast(self._dense.bias, inputs.dtype)
        return self._dense.activation(outputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self._dense.units)
