"""Several ops that stand for one."""

import types
from collections.abc import Callable
from typing import Any

from tfrobust.graph.node import Node


class Composite:
    """A function in the place of a node's op, under a name of its own.

    A record for its type says how it is bounded, as of any op. What makes one
    has checked every attribute of the ops that it stands for.

    Args:
        type: The type by which its record is found; no op of TensorFlow has it.
        last: The node whose value it is.
        function: A function of the node's inputs, in any batch size.
        detail: What its rule needs to know beside its type.
    """

    def __init__(
        self, type: str, last: Node, function: Callable, detail: Any = None
    ) -> None:
        self.type, self.name, self.function = type, last.name, function
        self.detail = detail
        self.outputs = [last.op.outputs[last.index]]
        self.op_def = types.SimpleNamespace(attr=[])


def become(
    node: Node,
    type: str,
    inputs: list,
    function: Callable,
    shape: Any = None,
    detail: Any = None,
) -> None:
    """Lets a node be computed by a function of other inputs, in place.

    Args:
        node: The `Node`.
        type: See `Composite`.
        inputs: What it then reads.
        function: See `Composite`.
        shape: Its new shape; None for the one that it has.
        detail: See `Composite`.
    """
    node.op, node.index = Composite(type, node, function, detail), 0
    node.reads(inputs)
    node.shape = node.shape if shape is None else shape
