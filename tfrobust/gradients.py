"""Gradients by the input, which attacks take by the thousand."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import tracking
from tfrobust.types import Model

# A name of its own among those that TensorFlow registers.
_CONVOLUTION = "tfrobust>Conv2D"
# From more channels on TensorFlow's own kernel is as fast.
FEW_CHANNELS = 4
# From as many channels on a convolution runs at full speed.
_FULL = 8


def input_gradient(
    model: Model, x: tf.Tensor, loss: Callable
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
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
        logits = model(x, training=False)
        if isinstance(logits, (dict, list, tuple)):
            raise TypeError(
                "`model` must answer with one tensor. Received: "
                f"{type(logits).__name__}. Name one of its outputs: pass "
                "tfr.Joined(model, output=name)."
            )
        logits = tf.cast(logits, tf.float32)
        values = loss(logits)
        # A power of two: exact, and keeps float16 layers from flushing small
        # gradients to zero.
        total = 256.0 * tf.reduce_sum(values)
    try:
        gradient = gradient_of(total)
    except LookupError:  # TensorFlow knows none of an op, or it is disabled.
        gradient = None
    if gradient is None:
        raise ValueError(
            "No gradient reaches the model's input, so a gradient attack can "
            "find nothing. Look for a layer or an op that rounds, takes an arg "
            "max, stops or prevents the gradient or calls NumPy "
            "(tf.numpy_function), and replace it by a differentiable stand-in."
        )
    # One NaN, as from sqrt at 0, would spread over the whole step. `tf.where`
    # would broadcast the 0, which takes three times as long, and `is_finite`
    # be moved to before a transposition, which is slow on booleans.
    gradient = tf.raw_ops.Select(
        condition=tf.abs(gradient) < math.inf,
        x=gradient,
        y=tf.zeros_like(gradient),
    )
    gradient /= 256.0
    tracking.note(values, gradient)
    return values, logits, gradient


@contextlib.contextmanager
def _recorded(x):
    """Gives a function that differentiates what is computed here by x."""
    if tf.executing_eagerly():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            yield lambda total: tape.gradient(total, x)
        return
    # A tape doesn't ask for other gradients of an op.
    with fast():
        yield lambda total: tf.gradients(total, x)[0]


def fast():
    """A scope, in a graph, in which convolutions have fast gradients."""
    graph = tf.compat.v1.get_default_graph()
    return graph.gradient_override_map({"Conv2D": _CONVOLUTION})


@tf.RegisterGradient(_CONVOLUTION)
def _convolution_gradient(op, gradient):
    """The gradients of `Conv2D`, the first of some made faster."""
    x, kernel = op.inputs
    names = "strides padding explicit_paddings data_format dilations"
    how = {name: op.get_attr(name) for name in names.split()}
    how |= {k: v.decode() for k, v in how.items() if isinstance(v, bytes)}
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=tf.shape(kernel), out_backprop=gradient, **how
    )
    if _is_over_few_channels(x, kernel, **how):
        size = x.shape[1:3]
        return convolution_by_input(size, kernel, gradient, **how), by_kernel
    by_input = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=gradient, **how
    )
    return by_input, by_kernel


def _is_over_few_channels(x, kernel, strides, dilations, data_format, **_):
    """Whether the input's gradient is faster as a convolution, on a CPU."""
    return (
        data_format == "NHWC"
        and strides[1] == strides[2]
        and max(dilations) == 1
        and None not in (*x.shape[1:], *kernel.shape)
        and x.shape[3] == kernel.shape[2] <= FEW_CHANNELS
        and kernel.shape[:2] != [1, 1]
        and not tf.config.list_physical_devices("GPU")
    )


def convolution_by_input(
    size: Sequence[int],
    kernel: tf.Tensor,
    gradient: tf.Tensor,
    strides: Sequence[int],
    padding: str,
    explicit_paddings: Sequence[int],
    **_: Any,
) -> tf.Tensor:
    """The input's gradient, a convolution that gives all pixels of a block.

        gradient [batch, h, w, filters]        by the output, h = size / stride
        blocks   [batch, h / step, w / step, block * block * channels]
        pixels   [batch, size, size, channels] channels put in their places

    The second is a convolution, stride `step`, of the first with the kernel's
    weights put where each of the block's pixels, block = step * stride, reads
    them. Why: TensorFlow's kernel for this gradient takes several times as
    long for the one to four channels of an image. Delete it, for what
    `Conv2DBackpropInput` gives, once that is as fast at FEW_CHANNELS.

    Args:
        size: Height and width of the input.
        kernel: Shape `[rows, columns, channels, filters]`, static.
        gradient: By the output, shape `[batch, height, width, filters]`.
        strides: As of `Conv2D`, the same for height and width, as are the rest.
    """
    stride, channels = strides[1], kernel.shape[2]
    step = 1  # Of how many outputs a block is made.
    # Windows that share no pixel gain nothing but zeros from larger blocks.
    overlap = max(kernel.shape[:2]) > stride
    while overlap and (step * stride) ** 2 * channels < _FULL:
        step *= 2
    weights, around = [], []
    for axis, (whole, length) in enumerate(
        zip(size, kernel.shape[:2], strict=True), start=1
    ):
        before = padding_before(
            whole, length, stride, padding, explicit_paddings[2 * axis :]
        )
        numbers, zeros = _reached(
            whole, length, stride, step, before, gradient.shape[axis]
        )
        weights.append(numbers)
        around.append(zeros)
    # All pairs of a row and a column, each a number of the flattened kernel.
    rows, columns = weights[0][:, None, :, None], weights[1][:, None]
    none = kernel.shape.num_elements()
    numbers = np.arange(none).reshape(kernel.shape)
    edge = [(0, 1), (0, 1), (0, 0), (0, 0)]
    numbers = np.pad(numbers, edge, constant_values=none)[rows, columns]
    numbers = numbers.transpose(0, 1, 5, 2, 3, 4)
    block = step * stride
    numbers = numbers.reshape(*numbers.shape[:3], block**2 * channels)
    flat = tf.concat([tf.reshape(kernel, [-1]), tf.zeros(1, kernel.dtype)], 0)
    kernel = tf.gather(flat, numbers)
    around = [(0, 0), *around, (0, 0)]
    sizes = zip(gradient.shape[1:3], kernel.shape[:2], strict=True)
    same = [_same(*pair, step) for pair in sizes]
    # By that name oneDNN takes the gradients of this gradient, too.
    how = "SAME" if around[1:3] == same else around
    found = tf.nn.conv2d(gradient, kernel, step, how)
    # TensorFlow's depth_to_space takes four times as long.
    height, width = found.shape[1:3]
    found = tf.reshape(found, [-1, height, width, block, block, channels])
    found = tf.transpose(found, [0, 1, 3, 2, 4, 5])
    found = tf.reshape(found, [-1, height * block, width * block, channels])
    return found[:, : size[0], : size[1]]


def _reached(size, length, stride, step, before, count):
    """Which weights lead from the outputs to the pixels of a block, on an axis.

    Args:
        size: Number of pixels.
        length: Of the kernel.
        stride: Pixels from one output to the next.
        step: Outputs from one block to the next.
        before: How many zeros are put in front of the pixels.
        count: Number of outputs.

    Returns:
        The numbers of the weights, shape `[outputs, step * stride]`, `length`
        where there is none; and how many zeros to put around the outputs.
    """
    block = step * stride
    first = min(0, -((length - 1 - before) // stride))
    last = (before + block - 1) // stride
    outputs = np.arange(first, last + 1)[:, None]
    weights = before + np.arange(block) - stride * outputs
    weights[(weights < 0) | (weights >= length)] = length
    end = step * ((size - 1) // block) + last + 1
    return weights, (-first, max(0, end - count))


def padding_before(
    size: int, length: int, stride: int, padding: str, explicit: Sequence[int]
) -> int:
    """How many zeros are put in front of an axis."""
    if padding == "EXPLICIT":
        return explicit[0]
    if padding == "VALID":
        return 0
    return _same(size, length, stride)[0]


def _same(size, length, stride):
    """How many zeros `SAME` puts in front of an axis, and behind it."""
    total = max((-(-size // stride) - 1) * stride + length - size, 0)
    return total // 2, total - total // 2
