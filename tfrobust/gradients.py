"""Gradients by the input, which attacks take by the thousand."""

import contextlib

import tensorflow as tf

# A name of its own among those that TensorFlow registers.
_CONVOLUTION = "tfrobust>Conv2D"
# From more channels on TensorFlow's own kernel is as fast.
_FEW_CHANNELS = 4


def input_gradient(model, x, loss):
    """Evaluates a model and the gradient of its loss by the input.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs, shape `[batch, ...]`, float32.
        loss: Maps logits to per-example losses, shape `[batch]`. They are
            summed, so that examples don't interact.

    Returns:
        Losses `[batch]`, logits `[batch, classes]` and the gradient, all
        float32.

    Raises:
        ValueError: If no gradient reaches the input.
    """
    with _recorded(x) as gradient_of:
        logits = tf.cast(model(x, training=False), tf.float32)
        values = loss(logits)
        # A power of two: exact, and keeps float16 layers from flushing small
        # gradients to zero.
        total = 256.0 * tf.reduce_sum(values)
    gradient = gradient_of(total)
    if gradient is None:
        raise ValueError(
            "No gradient reaches the model's input, so a gradient attack can "
            "find nothing. Look for a layer that rounds, takes an arg max, "
            "stops the gradient or calls NumPy (tf.numpy_function), and "
            "replace it by a differentiable stand-in."
        )
    # One NaN, as from sqrt at 0, would spread over the whole step. `tf.where`
    # would broadcast the 0, which takes three times as long.
    gradient = tf.raw_ops.Select(
        condition=tf.math.is_finite(gradient),
        x=gradient,
        y=tf.zeros_like(gradient),
    )
    return values, logits, gradient / 256.0


@contextlib.contextmanager
def _recorded(x):
    """Gives a function that differentiates what is computed here by x."""
    if tf.executing_eagerly():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            yield lambda total: tape.gradient(total, x)
        return
    # A tape doesn't ask for other gradients of an op.
    graph = tf.compat.v1.get_default_graph()
    with graph.gradient_override_map({"Conv2D": _CONVOLUTION}):
        yield lambda total: tf.gradients(total, x)[0]


@tf.RegisterGradient(_CONVOLUTION)
def _convolution_gradient(op, gradient):
    """The gradients of `Conv2D`, the first of strided ones made faster."""
    x, kernel = op.inputs
    names = "strides padding explicit_paddings data_format dilations"
    how = {name: op.get_attr(name) for name in names.split()}
    how |= {k: v.decode() for k, v in how.items() if isinstance(v, bytes)}
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=tf.shape(kernel), out_backprop=gradient, **how
    )
    if _is_strided_over_few_channels(x, kernel, **how):
        size = x.shape[1:3]
        return convolution_by_input(size, kernel, gradient, **how), by_kernel
    by_input = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=gradient, **how
    )
    return by_input, by_kernel


def _is_strided_over_few_channels(
    x, kernel, strides, dilations, data_format, **_
):
    """Whether the input's gradient is faster as a convolution, on a CPU."""
    return (
        data_format == "NHWC"
        and strides[1] == strides[2] > 1
        and max(dilations) == 1
        and None not in (*x.shape[1:], *kernel.shape)
        and x.shape[3] == kernel.shape[2] <= _FEW_CHANNELS
        and not tf.config.list_physical_devices("GPU")
    )


def convolution_by_input(
    size, kernel, gradient, strides, padding, explicit_paddings, **_
):
    """The input's gradient, a convolution with every phase of the kernel.

    The pixels of a block of stride x stride see different weights of the
    kernel, so they are computed as channels and then put in their places.

    Args:
        size: Height and width of the input.
        kernel: Shape `[rows, columns, channels, filters]`, static.
        gradient: By the output, shape `[batch, height, width, filters]`.
        strides: As of `Conv2D`, the same for height and width, as are the rest.
    """
    stride, (rows, columns) = strides[1], kernel.shape[:2]
    kernel = tf.pad(
        kernel, [[0, -rows % stride], [0, -columns % stride], [0, 0], [0, 0]]
    )
    height, width, channels, filters = kernel.shape
    blocks = height // stride, width // stride
    phases = tf.reshape(
        kernel, [blocks[0], stride, blocks[1], stride, channels, filters]
    )
    phases = tf.transpose(phases[::-1, :, ::-1], [0, 2, 5, 1, 3, 4])
    phases = tf.reshape(phases, [*blocks, filters, stride**2 * channels])
    around = [[0, 0], *([count - 1] * 2 for count in blocks), [0, 0]]
    found = tf.nn.conv2d(gradient, phases, 1, around)
    # TensorFlow's depth_to_space takes four times as long.
    grid = found.shape[1:3]
    found = tf.reshape(found, [-1, *grid, stride, stride, channels])
    found = tf.transpose(found, [0, 1, 3, 2, 4, 5])
    found = tf.reshape(
        found, [-1, grid[0] * stride, grid[1] * stride, channels]
    )
    # What is missing at the end, no window has reached.
    before = [
        padding_before(
            whole, length, stride, padding, explicit_paddings[2 * axis :]
        )
        for axis, (whole, length) in enumerate(
            zip(size, (rows, columns), strict=True), start=1
        )
    ]
    missing = [
        max(0, start + whole - length)
        for start, whole, length in zip(
            before, size, found.shape[1:3], strict=True
        )
    ]
    found = tf.pad(found, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.slice(found, [0, *before, 0], [-1, *size, channels])


def padding_before(size, length, stride, padding, explicit):
    """How many zeros are put in front of an axis."""
    if padding == "EXPLICIT":
        return explicit[0]
    if padding == "VALID":
        return 0
    return max((-(-size // stride) - 1) * stride + length - size, 0) // 2
