"""What is known of an op: a row of the table of rules."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Record:
    """All that the engine knows of an op. What it doesn't name is refused.

    Args:
        rule: How to bound the op: a `Linear`, an `Activation` or a `MaxPool`.
        apart: A function of a node that says whether each example of the
            output comes from that example alone.
        attributes: Maps every attribute of the op, but for types, to the
            values that the rule is sound for; `ANY` for all of them, or a
            function that tells.
        outputs: How many outputs, from the first on, the rule is for; None for
            all.
        caveat: A function of a node that says in half a sentence why it is
            refused for what it reads, or None.
    """

    rule: Any
    apart: Callable[[Any], bool]
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    outputs: int | None = 1
    caveat: Callable[[Any], str | None] = lambda node: None

    def problem(self, node):
        """Why this says nothing of a node, None if it does."""
        op = node.op
        if op.outputs[node.index].dtype != tf.float32:
            dtype = op.outputs[node.index].dtype.name
            return f"computes in {dtype}; bounds are derived for float32"
        if self.outputs is not None and node.index >= self.outputs:
            return f"is read at its output {node.index}, which has no rule"
        for attribute in op.op_def.attr:
            if attribute.type in ("type", "list(type)"):
                continue
            value = op.get_attr(attribute.name)
            if not self._knows(attribute.name, value):
                text = value.decode() if isinstance(value, bytes) else value
                return f"has no rule for {attribute.name}={text!r}"
        if not (node.batched and self.apart(node)):
            return (
                "mixes the examples of a batch, or reads constants of unknown "
                "shape, so that no example can be bounded by itself"
            )
        products = self.rule.linear and self.rule.product
        if len(node.dependent) > 1 and (products or not self.rule.linear):
            return (
                "reads two values that depend on the input; one must be a "
                "constant"
            )
        return self.caveat(node)

    def _knows(self, name, value):
        if name not in self.attributes:
            return False
        known = self.attributes[name]
        if callable(known):
            return bool(known(value))
        return value in known


def ANY(value):  # noqa: N802, a constant to those who read the table.
    """Every value of an attribute."""
    return True
