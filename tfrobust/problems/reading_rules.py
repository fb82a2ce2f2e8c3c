"""How nodes of ONNX are computed in TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.problems import reading_images as images
from tfrobust.problems import reading_moves as moves
from tfrobust.problems.reading_values import Call, Unreadable, Value, against

Rule = Callable[[Call], Any]


def _unary(function: Callable) -> Rule:
    return lambda call: Value(function(call.x.tensor), call.x.last)


def _binary(function: Callable) -> Rule:
    """Two inputs or more, of which all but one may be constants."""

    def pair(first, second):
        if not isinstance(first, Value) and not isinstance(second, Value):
            raise Unreadable("two constants before what isn't one")
        if not isinstance(first, Value):
            return Value(
                function(against(second, first), second.tensor), second.last
            )
        if not isinstance(second, Value):
            return Value(
                function(first.tensor, against(first, second)), first.last
            )
        if first.last == second.last and len(first.shape) == len(second.shape):
            return Value(function(first.tensor, second.tensor), first.last)
        if len(first.shape) != len(second.shape):
            raise Unreadable("inputs of other ranks")
        return Value(function(first.first(), second.first()))

    def rule(call):
        found = call.inputs[0]
        for other in call.inputs[1:]:
            found = pair(found, other)
        return found

    return rule


def _dropout(call):
    if np.any(call.constant(2, default=False)):
        raise Unreadable("training")
    # What is dropped in training.
    call.constant(1, "ratio")
    call.attribute("seed")
    return call.x


def _leaky(call):
    alpha = call.attribute("alpha", 0.01)
    return Value(tf.nn.leaky_relu(call.x.tensor, alpha), call.x.last)


def _elu(call):
    call.only(alpha=1.0)
    return Value(tf.nn.elu(call.x.tensor), call.x.last)


def _clip(call):
    tensor = call.x.tensor
    low, high = call.constant(1, "min"), call.constant(2, "max")
    if any(np.ndim(end) > 1 or np.size(end) != 1 for end in (low, high)):
        raise Unreadable("ends that aren't single numbers")
    tensor = tensor if low is None else tf.maximum(tensor, np.float32(low))
    tensor = tensor if high is None else tf.minimum(tensor, np.float32(high))
    return Value(tensor, call.x.last)


def _power(call):
    exponent, shape = call.constant(1), call.x.shape
    if not np.all(exponent == 2):
        raise Unreadable("another exponent than 2")
    if np.broadcast_shapes(np.shape(exponent), shape) != tuple(shape):
        raise Unreadable(f"an exponent of the shape {exponent.shape}")
    return Value(tf.square(call.x.tensor), call.x.last)


def _softmax(call):
    axis = call.x.axis(call.attribute("axis", -1))
    if call.attribute("flattens") and axis != len(call.x.shape) - 1:
        raise Unreadable(f"axis={axis} of old")
    return Value(tf.nn.softmax(call.x.first(), axis))


def _gemm(call):
    call.only(transA=0)
    kernel = call.constant(1).astype(np.float32)
    kernel = kernel.T if call.attribute("transB", 0) else kernel
    made, bias = tf.matmul(call.x.first(), kernel), call.constant(2)
    # Factors are ops of their own, so that verifiers see their rounding.
    alpha = np.float32(call.attribute("alpha", 1.0))
    beta = call.attribute("beta", 1.0)
    made = made if alpha == 1 else made * alpha
    if bias is None:
        return Value(made)
    scaled = bias * np.float32(beta)
    if np.any(scaled != np.float64(bias) * beta):
        raise Unreadable("a beta that rounds")
    return Value(made + against(Value(made), scaled))


def _matmul(call):
    first, second = call.inputs
    if not isinstance(second, Value):
        kernel = np.asarray(second, np.float32)
        lead, rank = kernel.shape[:-2], len(first.shape)
        if not 2 <= kernel.ndim <= rank or max(lead, default=1) > 1:
            raise Unreadable(f"a constant of the shape {kernel.shape}")
        kernel = kernel.reshape(kernel.shape[-2:])
        return Value(tf.matmul(first.first(), kernel))
    if isinstance(first, Value):
        if not 2 < len(first.shape) == len(second.shape):
            raise Unreadable("inputs of other ranks, or of two axes")
        return Value(tf.matmul(first.first(), second.first()))
    if np.ndim(first) != 2 or len(second.shape) != 3:
        raise Unreadable("a constant on the left")
    turned = tf.transpose(second.first(), [0, 2, 1])
    made = tf.matmul(turned, np.asarray(first, np.float32).T)
    return Value(tf.transpose(made, [0, 2, 1]))


def _reduction(function: Callable) -> Rule:
    def rule(call):
        keep = bool(call.attribute("keepdims", 1))
        # There are axes.
        call.attribute("noop_with_empty_axes")
        axes = sorted(call.axes())
        return Value(function(call.x.first(), axes, keepdims=keep))

    return rule


RULES: dict[str, Rule] = {
    "Abs": _unary(tf.abs),
    "Add": _binary(tf.add),
    "AveragePool": images.average_pooling,
    "BatchNormalization": images.normalization,
    "Cast": moves.cast,
    "Clip": _clip,
    "Concat": moves.concat,
    "Conv": images.convolution,
    "Cos": _unary(tf.cos),
    "Div": _binary(tf.divide),
    "Dropout": _dropout,
    "Elu": _elu,
    "Erf": _unary(tf.math.erf),
    "Exp": _unary(tf.exp),
    "Flatten": moves.flatten,
    "Gather": moves.gather,
    "Gemm": _gemm,
    "GlobalAveragePool": images.global_average,
    "Identity": lambda call: call.x,
    "LeakyRelu": _leaky,
    "Log": _unary(tf.math.log),
    "MatMul": _matmul,
    "Max": _binary(tf.maximum),
    "MaxPool": images.max_pooling,
    "Min": _binary(tf.minimum),
    "Mul": _binary(tf.multiply),
    "Neg": _unary(tf.negative),
    "Pad": moves.pad,
    "Pow": _power,
    "Reciprocal": _unary(lambda x: 1.0 / x),
    "ReduceMean": _reduction(tf.reduce_mean),
    "ReduceSum": _reduction(tf.reduce_sum),
    "Relu": _unary(tf.nn.relu),
    "Reshape": moves.reshape,
    "Shape": moves.shape,
    "Sigmoid": _unary(tf.sigmoid),
    "Sign": _unary(tf.sign),
    "Sin": _unary(tf.sin),
    "Slice": moves.part,
    "Softmax": _softmax,
    "Softplus": _unary(tf.math.softplus),
    "Split": moves.split,
    "Sqrt": _unary(tf.sqrt),
    "Squeeze": moves.squeeze,
    "Sub": _binary(tf.subtract),
    "Sum": _binary(tf.add),
    "Tanh": _unary(tf.tanh),
    "Transpose": moves.transpose,
    "Unsqueeze": moves.unsqueeze,
}
