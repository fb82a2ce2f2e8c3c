"""An ONNX graph that is being written."""

from typing import Any, NamedTuple

import numpy as np

from tfrobust.graph import Node
from tfrobust.problems.extra import load

# Of 2021: what verifiers and runtimes of the last years read.
OPSET, IR = 13, 8


class Value(NamedTuple):
    """A value of the graph, by name.

    Attributes:
        name: Its name.
        first: Whether an image's channels come first in it, as ONNX has them.
    """

    name: str
    first: bool = False


class Graph:
    """Collects the nodes of an ONNX graph for one example.

    Images stay with channels first from one op that needs them so to the next.

    Args:
        input: The `Node` of the network's input.
    """

    def __init__(self, input: Node) -> None:
        self._onnx = load("onnx")
        self.values = {input: Value("input")}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._moved: dict[tuple[str, bool], str] = {}
        self._input = input

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node of one output, and returns the name of that."""
        name = f"{op.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            op, inputs, [name], name=name, **attributes
        )
        self._nodes.append(node)
        return name

    def constant(self, value: Any) -> str:
        """Adds a constant; whole numbers are int64, others float32."""
        value = np.asarray(value)
        whole = value.dtype.kind in "iu"
        value = np.ascontiguousarray(value, np.int64 if whole else np.float32)
        name = f"constant_{len(self._constants)}"
        made = self._onnx.numpy_helper.from_array(value, name)
        self._constants.append(made)
        return name

    def read(self, node: Node, first: bool = False) -> str:
        """The name of a node's value, its channels first or last."""
        value = self.values[node]
        if value.first == first:
            return value.name
        key = value.name, first
        if key not in self._moved:
            rank = len(node.shape) + 1
            order = [0, *range(2, rank), 1]
            if first:
                order = [0, rank - 1, *range(1, rank - 1)]
            self._moved[key] = self.add("Transpose", value.name, perm=order)
        return self._moved[key]

    def model(self, output: Node) -> Any:
        """The finished model, which onnx has checked."""
        helper, number = self._onnx.helper, self._onnx.TensorProto.FLOAT
        last = self.add("Identity", self.read(output))
        self._nodes[-1].output[0] = "output"
        del last
        ends = (("input", self._input), ("output", output))
        shapes = [
            helper.make_tensor_value_info(name, number, [1, *node.shape])
            for name, node in ends
        ]
        graph = helper.make_graph(
            self._nodes, "network", shapes[:1], shapes[1:], self._constants
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="tfrobust",
        )
        made.ir_version = IR
        self._onnx.checker.check_model(made, full_check=True)
        return made
