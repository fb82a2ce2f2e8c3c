"""Networks of ONNX files, as callables of TensorFlow."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.problems.extra import contents, load
from tfrobust.problems.reading_rules import RULES
from tfrobust.problems.reading_values import Call, Unreadable, Value
from tfrobust.types import Path, TensorLike

# Versions of the operators whose attributes are those that are known.
OPSETS = range(7, 24)


class Network:
    """The network of an ONNX file, in TensorFlow's ops.

    It is what verifiers and attacks take: any number of examples at once,
    though the file may say 1. Images stay as ONNX has them, channels first.
    What is computed of constants alone is what onnx's evaluator makes of it.

    Args:
        path: The file, gzipped or not.

    Call arguments:
        x: Inputs, shape `[batch, *shape]`.
        training: Changes nothing.

    Attributes:
        shape: Shape of one input, without the first axis.
        outputs: Number of outputs.
        input: Name of the input.

    Raises:
        ImportError: If onnx isn't installed.
        NotImplementedError: If the file holds ops, attributes or types that
            aren't known; all ops are named at once.
        ValueError: If it is no ONNX file, or a node can't be computed.

    Example:
        `tfr.verifiers.CROWN(box).margins(tfr.problems.Network(path), x, y)`
    """

    def __init__(self, path: Path) -> None:
        onnx = load("onnx")
        model = _loaded(path, onnx)
        graph = model.graph
        unknown = sorted(
            {node.op_type for node in graph.node if not _known(node)}
        )
        if unknown:
            raise NotImplementedError(
                f"Ops of this ONNX file aren't known. Received: {unknown}. "
                "Known are what the benchmarks of VNN-COMP are made of."
            )
        self._arrays = {
            part.name: _array(part, onnx) for part in graph.initializer
        }
        self._evaluator = load("onnx.reference").ReferenceEvaluator
        self._versions = {o.domain: o.version for o in model.opset_import}
        if self._versions.get("", 0) not in OPSETS:
            raise NotImplementedError(
                f"An opset from {OPSETS[0]} to {OPSETS[-1]} is expected. "
                f"Received: {self._versions}."
            )
        self._helper, self._nodes = onnx.helper, list(graph.node)
        inputs = [i for i in graph.input if i.name not in self._arrays]
        self._ends = [_single(part, onnx) for part in (inputs, graph.output)]
        self.input, lengths = self._ends[0]
        if not lengths or lengths[0] > 1 or min(lengths[1:], default=1) < 1:
            raise NotImplementedError(
                "An input of fixed shape whose first axis is that of the "
                f"batch, 1, is expected. Received: {lengths}."
            )
        self.shape = tuple(lengths[1:])
        found = self(tf.zeros([1, *self.shape]))
        self.outputs = int(found.shape[-1])

    def __call__(self, x: TensorLike, training: bool = False) -> tf.Tensor:
        values: dict[str, Any] = dict(self._arrays)
        x = tf.cast(x, tf.float32)
        values[self.input] = Value(tf.reshape(x, [-1, *self.shape]))
        for node in self._nodes:
            self._run(node, values)
        found = values.get(self._ends[1][0])
        if not isinstance(found, Value):
            raise ValueError(
                "The network's output doesn't depend on its input."
            )
        return tf.reshape(found.first(), [-1, math.prod(found.shape)])

    def _run(self, node, values):
        """Adds what a node computes to the values."""
        if all(name in values for name in node.output):
            return
        missing = [n for n in node.input if n and n not in values]
        if missing:
            raise NotImplementedError(
                f"The ONNX op {node.op_type} at {node.name!r} reads what "
                f"nothing known computes. Received: {missing}."
            )
        inputs = [values[name] if name else None for name in node.input]
        try:
            if any(isinstance(given, Value) for given in inputs):
                made = self._read(node, inputs)
            else:
                made = self._evaluator(node, opsets=self._versions).run(
                    None, {n: values[n] for n in node.input if n}
                )
                # Once is enough.
                self._arrays.update(zip(node.output, made, strict=True))
        except Unreadable as error:
            raise NotImplementedError(
                f"The ONNX op {node.op_type} at {node.name!r} isn't known "
                f"with {error}."
            ) from error
        # What ONNX doesn't allow fails in many ways.
        except Exception as error:
            raise ValueError(
                f"The ONNX op {node.op_type} at {node.name!r} can't be "
                f"computed: {type(error).__name__}: {error}."
            ) from error
        values.update(zip(node.output, made, strict=False))

    def _read(self, node, inputs):
        """The outputs of a node of which something depends on the input."""
        call = Call(inputs, self._attributes(node), len(node.output))
        made = RULES[node.op_type](call)
        call.finish()
        return made if isinstance(made, list) else [made]

    def _attributes(self, node):
        found = {}
        for attribute in node.attribute:
            value = self._helper.get_attribute_value(attribute)
            value = value.decode() if isinstance(value, bytes) else value
            found[attribute.name] = value
        if node.op_type == "Softmax" and self._versions.get("", 1) < 13:
            # It flattened what follows the axis, 1 by default.
            found.setdefault("axis", 1)
            found["flattens"] = True
        return found


def _loaded(path, onnx):
    """The model of a file."""
    data = contents(path)
    try:
        return onnx.load_from_string(data)
    # What isn't ONNX fails in many ways.
    except Exception as error:
        raise ValueError(f"{path} is no ONNX file: {error}") from error


def _array(part, onnx):
    """A constant of a file, which holds all its numbers itself."""
    if part.data_location == onnx.TensorProto.EXTERNAL:
        raise NotImplementedError(
            "Constants within the ONNX file are expected. Received: "
            f"{part.name!r} in another file. Save it with "
            "onnx.save(onnx.load(path), path)."
        )
    return onnx.numpy_helper.to_array(part)


def _known(node):
    constants = ("Constant", "ConstantOfShape", "Range")
    known = node.op_type in RULES or node.op_type in constants
    return known and node.domain in ("", "ai.onnx")


def _single(parts, onnx):
    """Name and shape of the one input or output; lengths not known are 0."""
    if len(parts) != 1:
        raise NotImplementedError(
            "A network of one input and one output is expected. Received: "
            f"{[part.name for part in parts]}."
        )
    kind = parts[0].type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise NotImplementedError(
            f"No proof covers the type of {parts[0].name!r}: float32 is "
            f"expected. Received: {name}."
        )
    return parts[0].name, [axis.dim_value for axis in kind.shape.dim]


def as_array(x: TensorLike, network: Network) -> np.ndarray:
    """One input as the file has it, with its first axis."""
    return np.reshape(np.asarray(x, np.float32), [1, *network.shape])
