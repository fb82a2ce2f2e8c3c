"""Pulling coefficients back through convolutions.

The gradient kernels of TensorFlow are made for batches of large images. Many
small windows are several times faster as a matrix product, and images of few
channels as a convolution of their blocks.
"""

import math

import tensorflow as tf

from tfrobust import gradients

# Multiplications that a matrix product may do for each useful one: into few
# channels, where other kernels are slow, and otherwise; and the largest matrix.
_REDUNDANT_OF_FEW, _REDUNDANT, _LARGEST = 32, 4, 2**24


def window(node):
    """Strides, kernel and padding before the image, or None.

    None unless the op slides one window over all channels, without gaps.
    """
    if node.type not in _PULLED:
        return None
    kernel = node.inputs[1].shape
    strides = node.op.get_attr("strides")[1:3]
    dilated = max(node.op.get_attr("dilations")) > 1
    if dilated or not kernel.is_fully_defined():
        return None
    if kernel[2] != node.dependent[0].shape[-1]:
        return None
    padding = [_padding(node, a, kernel[a], strides[a]) for a in (0, 1)]
    return strides, list(kernel[:2]), padding


def pulled_windows(node, rows, shape):
    """Pulls coefficients of windows of the output back to the input.

    Args:
        node: A convolution that has a `window`.
        rows: Coefficients, shape `[rows, height, width, channels]`.
        shape: Height, width and channels of what those windows read.

    Returns:
        Coefficients, shape `[rows, *shape]`, padding included.
    """
    kernel = node.inputs[1].shape
    given, wanted = math.prod(rows.shape[1:]), math.prod(shape)
    redundant = math.prod(shape[:2]) / math.prod(kernel[:2])
    few = shape[-1] <= gradients.FEW_CHANNELS
    small = redundant <= (_REDUNDANT_OF_FEW if few else _REDUNDANT)
    small &= given * wanted <= _LARGEST
    if node.type != "Conv2D" or not small:
        return _kernel(node, rows, shape)
    window = tuple(rows.shape[1:])

    def matrix():
        identity = tf.reshape(tf.eye(given), [given, *window])
        return tf.reshape(_kernel(node, identity, shape), [given, wanted])

    product = tf.matmul(
        tf.reshape(rows, [-1, given]),
        node.kept.value(("matrix", window, tuple(shape)), matrix),
    )
    return tf.reshape(product, [-1, *shape])


def pulls(node):
    """Whether `pulled` knows a node."""
    return node.type in _PULLED


def pulled(node, rows):
    """Pulls coefficients of a convolution's output back to its input.

    Args:
        node: A convolution that this module `pulls`.
        rows: Coefficients, shape `[rows, height, width, channels]`.
    """
    shape = node.dependent[0].shape
    strides = node.op.get_attr("strides")
    padding = node.op.get_attr("padding").decode()
    explicit = node.op.get_attr("explicit_paddings")
    few = node.type == "Conv2D" and shape[-1] <= gradients.FEW_CHANNELS
    if few and window(node) and strides[1] == strides[2]:
        return gradients.convolution_by_input(
            shape[:2], node.inputs[1], rows, strides, padding, explicit
        )
    how = {"dilations": node.op.get_attr("dilations")}
    how["data_format"] = node.op.get_attr("data_format").decode()
    return _kernel(
        node, rows, shape, padding, explicit_paddings=explicit, **how
    )


def _kernel(node, rows, shape, padding="VALID", **how):
    """What TensorFlow has for the gradient by an input of this shape."""
    return _PULLED[node.type](
        input_sizes=[tf.shape(rows)[0], *shape],
        filter=node.inputs[1],
        out_backprop=rows,
        strides=node.op.get_attr("strides"),
        padding=padding,
        **how,
    )


def _padding(node, axis, kernel, stride):
    """How many rows of padding come before the image."""
    size = node.dependent[0].shape[axis]
    kind = node.op.get_attr("padding").decode()
    explicit = node.op.get_attr("explicit_paddings")[2 * axis + 2 :]
    return gradients.padding_before(size, kernel, stride, kind, explicit)


_PULLED = {
    "Conv2D": tf.raw_ops.Conv2DBackpropInput,
    "DepthwiseConv2dNative": tf.raw_ops.DepthwiseConv2dNativeBackpropInput,
}
