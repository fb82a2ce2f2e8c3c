"""ONNX ops on images, which TensorFlow has with channels last."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.problems.reading_values import Call, Unreadable, Value


class Window:
    """The window of a convolution or pooling.

    Args:
        call: The `Call`.
        size: Its size; None for the attribute `kernel_shape`.
    """

    def __init__(self, call: Call, size: Any = None) -> None:
        given = call.attribute("kernel_shape", size)
        self.size = list(given if size is None else size)
        if len(self.size) != 2:
            raise Unreadable(f"a window of {len(self.size)} axes")
        if list(given) != self.size:
            raise Unreadable(f"kernel_shape={given}, not its kernel's")
        self.strides = list(call.attribute("strides", [1, 1]))
        self.dilations = list(call.attribute("dilations", [1, 1]))
        self.sides = self._sides(call)

    def _sides(self, call):
        """Pads before and after each axis of the image."""
        how = call.attribute("auto_pad", "NOTSET")
        pads = list(call.attribute("pads", [0] * 4))
        if how in ("NOTSET", "") and min(pads) >= 0:
            return list(zip(pads[:2], pads[2:], strict=True))
        if how not in ("VALID", "SAME_UPPER", "SAME_LOWER") or any(pads):
            raise Unreadable(f"auto_pad={how} and pads={pads}")
        if how == "VALID":
            return [(0, 0)] * 2
        sides = []
        for length, k, s, d in zip(
            call.x.shape[2:],
            self.size,
            self.strides,
            self.dilations,
            strict=True,
        ):
            whole = max(0, (-(-length // s) - 1) * s + (k - 1) * d + 1 - length)
            less, more = whole // 2, whole - whole // 2
            sides.append((less, more) if how == "SAME_UPPER" else (more, less))
        return sides

    @property
    def pads(self) -> bool:
        """Whether there are any pads."""
        return any(map(any, self.sides))

    def padded(self, image: tf.Tensor, value: float = 0.0) -> tf.Tensor:
        """An image with its pads."""
        if not self.pads:
            return image
        every = [(0, 0), *self.sides, (0, 0)]
        return tf.pad(image, every, constant_values=value)


def convolution(call: Call) -> Value:
    """A convolution, of groups of channels or of each."""
    kernel = call.constant(1)
    window = Window(call, kernel.shape[2:])
    groups, image = call.attribute("group", 1), call.x.image()
    if kernel.shape[1] * groups != image.shape[-1]:
        raise Unreadable(f"group={groups}, which its kernel doesn't fit")
    turned = np.transpose(kernel, [2, 3, 1, 0])
    if groups == image.shape[-1] and groups > 1:
        # Of every channel its own kernels, one after the other.
        many = kernel.shape[0] // groups
        shape = [*kernel.shape[2:], groups, many]
        strides = [1, *window.strides, 1]
        if max(window.dilations) > 1:
            raise Unreadable("dilations of a depthwise convolution")
        if window.strides[0] != window.strides[1]:
            raise Unreadable("strides of a depthwise convolution that differ")
        made = tf.nn.depthwise_conv2d(
            window.padded(image), turned.reshape(shape), strides, "VALID"
        )
    else:
        padding: Any = "VALID"
        if window.pads and groups == 1:
            padding = [[0, 0], *map(list, window.sides), [0, 0]]
        elif window.pads:
            image = window.padded(image)
        made = tf.nn.conv2d(
            image,
            tf.constant(turned),
            window.strides,
            padding,
            dilations=window.dilations,
        )
    bias = call.constant(2)
    return Value(made if bias is None else tf.nn.bias_add(made, bias), True)


def max_pooling(call: Call) -> Value:
    """The largest value of each window."""
    call.only(ceil_mode=0, storage_order=0)
    window = Window(call)
    if max(window.dilations) > 1 or call.outputs > 1:
        raise Unreadable("dilations or indices")
    pairs = zip(window.sides, window.size, strict=True)
    if any(max(side) >= size for side, size in pairs):
        raise Unreadable("pads as wide as its window")
    image = call.x.image()
    # Every window reaches what it is padded with, so that no maximum changes.
    for number in range(max(map(max, window.sides))):
        sides = [[int(n > number) for n in side] for side in window.sides]
        image = tf.pad(image, [[0, 0], *sides, [0, 0]], "SYMMETRIC")
    made = tf.nn.max_pool2d(image, window.size, window.strides, "VALID")
    return Value(made, True)


def average_pooling(call: Call) -> Value:
    """The mean of each window."""
    call.only(ceil_mode=0)
    window = Window(call)
    counted = call.attribute("count_include_pad", 0)
    if max(window.dilations) > 1:
        raise Unreadable("dilations")
    image = call.x.image()

    def pooled(image):
        padded = window.padded(image)
        return tf.nn.avg_pool2d(padded, window.size, window.strides, "VALID")

    made = pooled(image)
    if window.pads and not counted:
        # Pads don't count. Both factors are whole, so that none is rounded.
        size = float(np.prod(window.size))
        share = pooled(tf.ones([1, *image.shape[1:3], 1]))
        made = made * size / tf.round(share * size)
    return Value(made, True)


def global_average(call: Call) -> Value:
    """The mean of each channel."""
    image = call.x.image()
    axes = list(range(1, image.shape.rank - 1))
    return Value(tf.reduce_mean(image, axes, keepdims=True), True)


def normalization(call: Call) -> Value:
    """A factor and a shift for each channel."""
    call.only(training_mode=0, spatial=1)
    # How statistics move while a network trains.
    call.attribute("momentum")
    if call.outputs > 1:
        raise Unreadable("statistics among its outputs")
    # One op, of whose constants verifiers know how they round.
    x, flat = call.x, len(call.x.shape) == 2
    if not flat and len(x.shape) != 4:
        raise Unreadable(f"an input of {len(x.shape)} axes")
    image = x.tensor[:, tf.newaxis, tf.newaxis] if flat else x.image()
    names = enumerate(("scale", "offset", "mean", "variance"), 1)
    made = tf.raw_ops.FusedBatchNormV3(
        x=image,
        **{name: tf.constant(call.constant(place)) for place, name in names},
        epsilon=call.attribute("epsilon", 1e-5),
        is_training=False,
    ).y
    if flat:
        return Value(tf.reshape(made, [-1, x.shape[1]]))
    return Value(made, True)
