"""Vector-Jacobian products of convolutions.

The gradient kernels of TensorFlow are made for batches of large images. Many
small windows are several times faster as a matrix product, and images of few
channels as a convolution of their blocks.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfrobust import gradients
from tfrobust.graph import Node

# Multiplications that a matrix product may do for each useful one: into few
# channels, where other kernels are slow, and otherwise; and the largest matrix.
_REDUNDANT_OF_FEW, _REDUNDANT, _LARGEST = 32, 4, 2**24
# From channels first to channels last, and back.
_LAST, _FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


class Convolution:
    """The vector-Jacobian products of a convolution of images.

    Args:
        kernel: The raw op that TensorFlow has for the gradient by the input.
        full: Whether each output channel reads all input channels.
    """

    def __init__(self, kernel: Callable, full: bool) -> None:
        self._kernel, self._full = kernel, full

    def window(self, node: Node) -> tuple | None:
        """Strides, kernel and padding before the image, or None.

        None unless the op slides one window over all channels, the last axis,
        without gaps.
        """
        kernel = node.inputs[1].shape
        if node.op.get_attr("data_format") != b"NHWC":
            return None
        dilated = max(node.op.get_attr("dilations")) > 1
        if dilated or not kernel.is_fully_defined():
            return None
        if kernel[2] != node.dependent[0].shape[-1]:
            return None
        strides = node.op.get_attr("strides")[1:3]
        padding = [_padding(node, a, kernel[a], strides[a]) for a in (0, 1)]
        return strides, list(kernel[:2]), padding

    def vjp_of_windows(
        self, node: Node, flat: tf.Tensor, shape: Sequence[int]
    ) -> tf.Tensor:
        """The product for coefficients of windows of the output.

        Args:
            node: A node that has a `window`.
            flat: Coefficients, shape `[count, height, width, channels]`.
            shape: Height, width and channels of what those windows read.

        Returns:
            Coefficients, shape `[count, *shape]`, padding included.
        """
        kernel, strides = node.inputs[1].shape, node.op.get_attr("strides")
        given, wanted = math.prod(flat.shape[1:]), math.prod(shape)
        redundant = math.prod(shape[:2]) / math.prod(kernel[:2])
        few = shape[-1] <= gradients.FEW_CHANNELS
        small = redundant <= (_REDUNDANT_OF_FEW if few else _REDUNDANT)
        small &= given * wanted <= _LARGEST
        if not (self._full and small):
            return self._by_input(node, flat, shape, strides)
        window = tuple(flat.shape[1:])

        def matrix():
            identity = tf.reshape(tf.eye(given), [given, *window])
            pulled = self._by_input(node, identity, shape, strides)
            return tf.reshape(pulled, [given, wanted])

        product = tf.matmul(
            tf.reshape(flat, [-1, given]),
            node.kept.value(("matrix", window, tuple(shape)), matrix),
        )
        return tf.reshape(product, [-1, *shape])

    def vjp(self, node: Node, flat: tf.Tensor) -> tf.Tensor:
        """The product for coefficients of the whole output.

        Args:
            node: The node.
            flat: Coefficients, shape `[count, *node.shape]`.
        """
        shape = node.dependent[0].shape
        strides = node.op.get_attr("strides")
        padding = node.op.get_attr("padding").decode()
        explicit = node.op.get_attr("explicit_paddings")
        few = self._full and shape[-1] <= gradients.FEW_CHANNELS
        if few and self.window(node) and strides[1] == strides[2]:
            return gradients.convolution_by_input(
                shape[:2], node.inputs[1], flat, strides, padding, explicit
            )
        how = {"dilations": node.op.get_attr("dilations")}
        how |= {"padding": padding, "explicit_paddings": explicit}
        if node.op.get_attr("data_format") == b"NHWC":
            return self._by_input(node, flat, shape, strides, **how)
        # TensorFlow has this gradient with the channels last alone.
        flat = tf.transpose(flat, _LAST)
        strides, how["dilations"] = _last(strides), _last(how["dilations"])
        pairs = [explicit[k : k + 2] for k in range(0, len(explicit), 2)]
        how["explicit_paddings"] = sum(_last(pairs), [])
        shape = [*shape[1:], shape[0]]
        pulled = self._by_input(node, flat, shape, strides, **how)
        return tf.transpose(pulled, _FIRST)

    def terms(self, node: Node) -> tuple[int, int]:
        """How many terms are summed up for a value, forward and backward."""
        *window, _, filters = node.inputs[1].shape
        read = math.prod(node.inputs[1].shape[: 3 if self._full else 2])
        return read, math.prod(window) * filters

    def _by_input(self, node, flat, shape, strides, padding="VALID", **how):
        """What TensorFlow has for the gradient by an input of this shape."""
        return self._kernel(
            input_sizes=[tf.shape(flat)[0], *shape],
            filter=node.inputs[1],
            out_backprop=flat,
            strides=strides,
            padding=padding,
            **how,
        )


def _last(values):
    """Values of the axes of an image, channels moved to the end; a list."""
    return [values[axis] for axis in _LAST] if values else []


def _padding(node, axis, kernel, stride):
    """How many rows of padding come before the image."""
    size = node.dependent[0].shape[axis]
    kind = node.op.get_attr("padding").decode()
    explicit = node.op.get_attr("explicit_paddings")[2 * axis + 2 :]
    return gradients.padding_before(size, kernel, stride, kind, explicit)
