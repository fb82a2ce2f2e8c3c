"""Writing a traced network as ONNX."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.graph import Trace
from tfrobust.problems.onnx_graph import Graph
from tfrobust.problems.writing_rules import RULES
from tfrobust.types import Model


def to_onnx(model: Model, shape: Sequence[int]) -> Any:
    """A network as an ONNX model of one example, batch 1.

    Weights are as they are now; what is computed from them alone, such as a
    mask or a quantised kernel, is a constant. The input is named `input`, has
    the shape `[1, *shape]`, channels last, and the output is named `output`.

    Args:
        model: Any callable `model(x, training=False) -> outputs`.
        shape: Shape of one input.

    Raises:
        ImportError: If onnx isn't installed.
        NotImplementedError: If an op of the network has no counterpart; all of
            them are named.
    """
    trace = Trace(model, tf.zeros([1, *shape], tf.float32))
    nodes = [node for node in trace.nodes if node is not trace.input]
    refused = sorted({why for node in nodes for why in _unwritten(node)})
    if refused:
        raise NotImplementedError(
            f"ONNX is written of known ops alone. Received: {refused}. "
            "Write such layers in other ones, or export a SavedModel."
        )
    graph = Graph(trace.input)
    for node in nodes:
        graph.values[node] = RULES[node.type](graph, node)
    return graph.model(trace.output)


# What has no attributes, and is the op of its name whatever it is made of.
_PLAIN = {"AddV2", "MinMax", "Mul", "Neg", "Relu", "Square", "Sub"}


def _unwritten(node):
    """Why a node can't be written, if it can't."""
    several = hasattr(node.op, "function")  # Ops in the place of one.
    if node.type not in RULES or (several and node.type not in _PLAIN):
        yield node.type
        return
    known = {"data_format": ("NHWC", "NDHWC"), "is_training": (False,)}
    for name, values in known.items():
        if not several and name in node.op.node_def.attr:
            value = node.op.get_attr(name)
            value = value.decode() if isinstance(value, bytes) else value
            if value not in values:
                yield f"{node.type} with {name}={value}"
    constants = [i for i in range(len(node.inputs)) if i not in node.positions]
    if any(node.inputs[i] is None for i in constants):
        yield f"{node.type} of what is known only while the network runs"


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """The largest difference, of 1 and of the largest value."""
    off = np.max(np.abs(np.asarray(first, float) - second), initial=0.0)
    return float(off / (1.0 + np.max(np.abs(first), initial=0.0)))
