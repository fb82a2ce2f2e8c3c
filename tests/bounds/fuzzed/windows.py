"""Linear steps that slide a window: convolutions and means."""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed.steps import (
    channels,
    in_float32,
    laid_out,
    like,
    need,
    step,
)


def window(draw, sizes, pads=True):
    """Sizes, strides and padding of a window over an image."""
    size = [min(n, int(draw.pick("size", [1, 2, 3]))) for n in sizes]
    strides = [int(draw.pick("stride", [1, 1, 2])) for _ in sizes]
    kinds = ["SAME", "VALID"] + (["EXPLICIT"] if pads else [])
    padding = draw.pick("padding", kinds)
    if padding == "EXPLICIT":
        padding = [[int(draw.pick("pad", [0, 1])) for _ in "ab"] for _ in sizes]
    return size, strides, padding


def arranged(values, layout, empty):
    """Values of the axes of an image, in a layout with batch and channels."""
    spatial = iter(values)
    return [empty if c in "NC" else next(spatial) for c in layout]


def padding(padding, layout):
    if isinstance(padding, str):
        return padding
    return arranged(padding, layout, [0, 0])


def spatial(x, layout):
    return [n for n, c in zip(x.shape, layout, strict=True) if c not in "NC"]


@step("linear")
def convolution(draw, x):
    need(x.shape.rank == 4)
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    size, strides, padding = window(draw, spatial(x, layout))
    dilations = [1, 1]
    if strides == [1, 1] and draw.chance("dilated", 0.3):
        dilations = [int(draw.pick("dilation", [1, 2])) for _ in "ab"]
    depth = channels(x, layout)
    groups = 2 if depth % 2 == 0 and draw.chance("grouped", 0.2) else 1
    outputs = int(draw.pick("filters", [2, 4]))
    kernel = draw.weights((*size, depth // groups, outputs))
    kernel *= np.float32(np.sqrt(outputs) / 2)

    def run(x, layout):
        return tf.nn.conv2d(
            x,
            like(x, kernel),
            arranged(strides, layout, 1),
            padding(padding, layout),
            layout,
            arranged(dilations, layout, 1),
        )

    return laid_out(run, layout)


@step("linear")
def depthwise(draw, x):
    need(x.shape.rank == 4)
    layout = draw.pick("data_format", ["NHWC", "NHWC", "NCHW"])
    size, strides, padding = window(draw, spatial(x, layout))
    strides = [strides[0]] * 2
    dilations = [1, 1]
    if strides == [1, 1] and draw.chance("dilated", 0.3):
        dilations = [int(draw.pick("dilation", [1, 2])) for _ in "ab"]
    multiplier = int(draw.pick("multiplier", [1, 2]))
    kernel = draw.normal("kernel", (*size, channels(x, layout), multiplier))

    def run(x, layout):
        y = tf.nn.depthwise_conv2d(
            x,
            like(x, kernel),
            arranged(strides, layout, 1),
            padding(padding, layout),
            layout,
            dilations,
        )
        # TensorFlow aborts the process where a graph adds a bias to that.
        return y if isinstance(padding, str) else -y

    return laid_out(run, layout)


@step("linear")
def convolution_3d(draw, x):
    need(x.shape.rank == 5)
    layout = draw.pick("data_format", ["NDHWC", "NDHWC", "NCDHW"])
    size, strides, padding = window(draw, spatial(x, layout), pads=False)
    kernel = draw.weights((*size, channels(x, layout), 2))

    def run(x, layout):
        return tf.nn.conv3d(
            x, like(x, kernel), arranged(strides, layout, 1), padding, layout
        )

    return laid_out(run, layout)


@step("linear")
def convolution_1d(draw, x):
    need(x.shape.rank == 3)
    layout = draw.pick("data_format", ["NWC", "NCW"])
    size, strides, padding = window(draw, spatial(x, layout), pads=False)
    dilation = int(draw.pick("dilation", [1, 1, 2])) if strides == [1] else 1
    kernel = draw.weights((*size, channels(x, layout), 2))

    def run(x, layout):
        return tf.nn.conv1d(
            x, like(x, kernel), strides[0], padding, layout, dilation
        )

    return laid_out(run, layout)


@step("linear")
def average_pooling(draw, x):
    need(x.shape.rank in (4, 5))
    layout = {4: ["NHWC", "NHWC", "NCHW"], 5: ["NDHWC"]}[x.shape.rank]
    layout = draw.pick("data_format", layout)
    size, strides, padding = window(draw, spatial(x, layout), pads=False)

    def run(x, layout):
        return tf.nn.avg_pool(
            x,
            arranged(size, layout, 1),
            arranged(strides, layout, 1),
            padding,
            layout,
        )

    return laid_out(run, layout)


@step("linear")
def transposed_convolution(draw, x):
    """Of images or volumes."""
    rank = x.shape.rank
    need(rank in (4, 5))
    size = [int(draw.pick("size", [1, 2, 3])) for _ in range(rank - 2)]
    stride, padding = draw.pick("stride", [1, 2]), draw.pick("padding", "SV")
    kernel = draw.weights((*size, 2, x.shape[-1]))
    wanted = [
        n * stride + (max(k - stride, 0) if padding == "V" else 0)
        for n, k in zip(x.shape[1:-1], size, strict=True)
    ]
    function = tf.nn.conv2d_transpose if rank == 4 else tf.nn.conv3d_transpose

    def run(x):
        return function(
            x,
            like(x, kernel),
            [tf.shape(x)[0], *wanted, 2],
            stride,
            {"S": "SAME", "V": "VALID"}[padding],
        )

    return run


@step("linear")
def running_sum(draw, x):
    axis = int(draw.pick("axis", range(-1, x.shape.rank)))
    exclusive, reverse = draw.chance("exclusive"), draw.chance("reverse")
    return lambda x: tf.cumsum(x, axis, exclusive, reverse)


@step("linear")
def resizing(draw, x):
    need(x.shape.rank == 4)
    op = draw.pick("op", ["ResizeBilinear", "ResizeNearestNeighbor"])
    size = [int(draw.pick("size", [1, 2, 3, 5])) for _ in "hw"]
    how = draw.pick("how", ["align_corners", "half_pixel_centers", None])
    how = {how: True} if how else {}
    function = getattr(tf.raw_ops, op)
    # Bilinear values are float32's.
    return in_float32(lambda x: function(images=x, size=size, **how))
