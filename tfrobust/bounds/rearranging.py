"""The rules of ops that repeat, pick, resize or sum up along axes.

And of transposed convolutions, which spread out. See `rules`.
"""

import math

import tensorflow as tf

from tfrobust.bounds import along_axes, rounding
from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds.linear import Linear
from tfrobust.bounds.record import ANY, RULES, Record
from tfrobust.graph import Node


def _copied(node):
    """Terms of an op that copies values; back to one it is a sum."""
    return 1, math.ceil(node.size / max(1, node.dependent[0].size))


def _picked(node):
    """Those of one that may pick a value as often as it picks."""
    return 1, node.size


def _accumulated(node):
    """Those of a running sum."""
    longest = max(node.shape, default=1)
    return longest, longest


def _spread_out(node):
    """Those of a transposed convolution; grouped ones have fewer."""
    *window, channels, filters = node.inputs[1].shape
    return math.prod(window) * filters, math.prod(window) * channels


def _interpolated(node):
    """Those of a bilinear resizing.

    A value is made of four, by weights that are rounded as a place in the
    image is: on both axes, forward and backward.
    """
    (height, width, _), (*wanted, _) = node.dependent[0].shape, node.shape
    longest = max(height, width, *wanted)
    # How many read one value: those up to two places away.
    readers = math.prod(
        2 * math.ceil(after / before) + 2
        for before, after in zip((height, width), wanted, strict=True)
    )
    return 16 + 8 * longest, 16 + 8 * longest + readers


def _whole_image(node, size):
    """The largest magnitude of each channel, also where its weight is 0."""
    largest = tf.reduce_max(size, axis=[1, 2], keepdims=True)
    return largest + tf.zeros(node.shape)


def nearest_vjp(node: Node, flat: tf.Tensor) -> tf.Tensor:
    """The product for nearest values, by the places that the op itself picks.

    Args:
        node: The node.
        flat: Coefficients, shape `[count, *node.shape]`.
    """
    height, width, channels = node.dependent[0].shape
    count = height * width
    places = tf.reshape(tf.range(float(count)), [1, height, width, 1])
    picked = tf.cast(tf.reshape(node.run(places), [-1]), tf.int32)
    flat = tf.reshape(flat, [-1, node.size // channels, channels])
    zeros = tf.zeros([tf.shape(flat)[0], count, channels])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(zeros)
        values = tf.gather(zeros, picked, axis=1)
    pulled = tape.gradient(values, zeros, output_gradients=flat)
    return tf.reshape(pulled, [-1, height, width, channels])


def _exact_places(node):
    """Refuses an image whose places have no numbers in float32."""
    height, width, _ = node.dependent[0].shape
    return "reads too large an image" if height * width > 2**24 else None


def _undilated(value):
    return set(value) == {1}


def _within_examples(value):
    """Whether a window lies within one example and all channels."""
    return value[0] == value[-1] == 1


_RESIZED = {"align_corners": ANY, "half_pixel_centers": ANY}
_PADDED = {"padding": (b"SAME", b"VALID"), "strides": _within_examples}
_TRANSPOSED = _PADDED | {"dilations": _undilated}

RULES |= {
    "AvgPool3D": Record(
        Linear(rounding.pooled),
        apart.first,
        _PADDED | {"ksize": _within_examples, "data_format": (b"NDHWC",)},
    ),
    "BroadcastTo": Record(Linear(_copied), along_axes.broadcast),
    "Conv2DBackpropInput": Record(
        Linear(_spread_out, weights=True),
        along_axes.transposed_convolution,
        _TRANSPOSED
        | {
            "data_format": (b"NHWC",),
            "explicit_paddings": ([],),
            "use_cudnn_on_gpu": ANY,
        },
    ),
    "Conv3DBackpropInputV2": Record(
        Linear(_spread_out, weights=True),
        along_axes.transposed_convolution,
        _TRANSPOSED | {"data_format": (b"NDHWC",)},
    ),
    "Cumsum": Record(
        Linear(_accumulated),
        along_axes.cumsum,
        {"exclusive": ANY, "reverse": ANY},
    ),
    "GatherV2": Record(
        Linear(_picked), along_axes.gather, {"batch_dims": (0,)}
    ),
    "ResizeBilinear": Record(
        Linear(_interpolated, summed=_whole_image), along_axes.resize, _RESIZED
    ),
    "ResizeNearestNeighbor": Record(
        Linear(_picked, vjp=nearest_vjp),
        along_axes.resize,
        _RESIZED,
        caveat=_exact_places,
    ),
    "ReverseV2": Record(Linear(), along_axes.reverse),
    "Roll": Record(Linear(), along_axes.roll),
    "Tile": Record(Linear(_copied), along_axes.tile),
}
