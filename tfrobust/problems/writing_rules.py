"""How ops of TensorFlow are written as nodes of ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.graph import Node
from tfrobust.problems import writing_moves as moves
from tfrobust.problems.onnx_graph import Graph, Value
from tfrobust.problems.writing_moves import constant

Rule = Callable[[Graph, Node], Value]


def _attribute(node, name):
    value = node.op.get_attr(name)
    return value.decode() if isinstance(value, bytes) else value


def _unary(name: str, **attributes: str) -> Rule:
    """One input, in whatever order its channels are."""

    def rule(graph, node):
        value = graph.values[node.dependent[0]]
        given = {k: _attribute(node, of) for k, of in attributes.items()}
        return Value(graph.add(name, value.name, **given), value.first)

    return rule


def _binary(name: str) -> Rule:
    """Two inputs that broadcast, of which one may be a constant."""

    def rule(graph, node):
        first = graph.values[node.dependent[0]].first
        rank = len(node.shape) + 1
        # What broadcasts to another shape has no channels of its own.
        first &= all(len(g.shape) == len(node.shape) for g in node.dependent)
        names = []
        for position, given in enumerate(node.inputs):
            if isinstance(given, Node):
                names.append(graph.read(given, first))
                continue
            value = constant(node, position)
            if first and value.ndim:
                value = value.reshape(
                    [1] * (rank - value.ndim) + [*value.shape]
                )
                value = np.moveaxis(value, -1, 1)
            names.append(graph.constant(value))
        return Value(graph.add(name, *names), first)

    return rule


def _bias(graph, node):
    value = graph.values[node.dependent[0]]
    bias = constant(node, 1)
    if value.first:
        bias = bias.reshape([1, -1] + [1] * (len(node.shape) - 1))
    return Value(
        graph.add("Add", value.name, graph.constant(bias)), value.first
    )


def _clip(graph, node):
    value = graph.values[node.dependent[0]]
    ends = graph.constant(np.float32(0)), graph.constant(np.float32(6))
    return Value(graph.add("Clip", value.name, *ends), value.first)


def _square(graph, node):
    value = graph.values[node.dependent[0]]
    return Value(graph.add("Mul", value.name, value.name), value.first)


def _padding(node, kernel, strides, dilations):
    """Pads of a window, before and after along each axis of an image."""
    how = _attribute(node, "padding")
    if how == "VALID":
        return [0] * (2 * len(kernel))
    if how == "EXPLICIT":
        given = np.reshape(_attribute(node, "explicit_paddings"), [-1, 2])[1:-1]
        return given.T.ravel().tolist()
    before, after = [], []
    sizes = node.dependent[0].shape[:-1]
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        whole = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        before.append(whole // 2)
        after.append(whole - whole // 2)
    return before + after


def _convolution(graph, node):
    kernel = constant(node, 1)
    size, group = [*kernel.shape[:-2]], 1
    if node.type == "DepthwiseConv2dNative":
        group = kernel.shape[2]
        kernel = kernel.reshape([*size, 1, -1])
    else:
        group = node.dependent[0].shape[-1] // kernel.shape[-2]
    strides, dilations = (
        list(_attribute(node, name)[1:-1]) for name in ("strides", "dilations")
    )
    rank = len(size)
    written = kernel.transpose([rank + 1, rank, *range(rank)])
    name = graph.add(
        "Conv",
        graph.read(node.dependent[0], True),
        graph.constant(written),
        kernel_shape=size,
        strides=strides,
        dilations=dilations,
        group=group,
        pads=_padding(node, size, strides, dilations),
    )
    return Value(name, True)


def _pooling(name: str, **attributes: int) -> Rule:
    def rule(graph, node):
        size, strides = (
            list(_attribute(node, of)[1:-1]) for of in ("ksize", "strides")
        )
        made = graph.add(
            name,
            graph.read(node.dependent[0], True),
            kernel_shape=size,
            strides=strides,
            pads=_padding(node, size, strides, [1] * len(size)),
            **attributes,
        )
        return Value(made, True)

    return rule


def _normalization(graph, node):
    scale, offset, mean, variance = (
        np.asarray(tf.cast(given, tf.float64)) for given in node.inputs[1:5]
    )
    scale = scale / np.sqrt(variance + _attribute(node, "epsilon"))
    value = graph.values[node.dependent[0]]
    shape = [1, -1] + [1] * (len(node.shape) - 1) if value.first else [-1]
    parts = (scale, offset - mean * scale)
    scale, offset = (graph.constant(part.reshape(shape)) for part in parts)
    scaled = graph.add("Mul", value.name, scale)
    return Value(graph.add("Add", scaled, offset), value.first)


def _matmul(graph, node):
    kernel = constant(node, 1)
    if node.type == "MatMul":
        kernel = kernel.T if _attribute(node, "transpose_b") else kernel
    elif _attribute(node, "adj_y"):
        kernel = np.swapaxes(kernel, -1, -2)
    read = graph.read(node.dependent[0])
    return Value(graph.add("MatMul", read, graph.constant(kernel)))


def _reduction(name: str) -> Rule:
    def rule(graph, node):
        rank = len(node.dependent[0].shape) + 1
        axes = sorted({int(a) % rank for a in np.ravel(constant(node, 1))})
        keep, read = int(_attribute(node, "keep_dims")), node.dependent[0]
        if name == "ReduceSum":
            given = graph.read(read), graph.constant(np.array(axes))
            return Value(graph.add(name, *given, keepdims=keep))
        made = graph.add(name, graph.read(read), axes=axes, keepdims=keep)
        return Value(made)

    return rule


def _leaky(graph, node):
    return _unary("LeakyRelu", alpha="alpha")(graph, node)


RULES: dict[str, Any] = {
    "Abs": _unary("Abs"),
    "Add": _binary("Add"),
    "AddV2": _binary("Add"),
    "AvgPool": _pooling("AveragePool", count_include_pad=0),
    "BatchMatMulV2": _matmul,
    "BiasAdd": _bias,
    "ConcatV2": moves.concat,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "Elu": _unary("Elu"),
    "Exp": _unary("Exp"),
    "ExpandDims": moves.reshape,
    "FusedBatchNormV3": _normalization,
    "LeakyRelu": _leaky,
    "MatMul": _matmul,
    "MaxPool": _pooling("MaxPool"),
    "Maximum": _binary("Max"),
    "Mean": _reduction("ReduceMean"),
    "MinMax": moves.sorted_pairs,
    "Minimum": _binary("Min"),
    "Mul": _binary("Mul"),
    "Neg": _unary("Neg"),
    "Pad": moves.pad,
    "PadV2": moves.pad,
    "RealDiv": _binary("Div"),
    "Relu": _unary("Relu"),
    "Relu6": _clip,
    "Reshape": moves.reshape,
    "Sigmoid": _unary("Sigmoid"),
    "Softplus": _unary("Softplus"),
    "Split": moves.split,
    "Sqrt": _unary("Sqrt"),
    "Square": _square,
    "Squeeze": moves.reshape,
    "Sub": _binary("Sub"),
    "Sum": _reduction("ReduceSum"),
    "Tanh": _unary("Tanh"),
    "Transpose": moves.transpose,
}
