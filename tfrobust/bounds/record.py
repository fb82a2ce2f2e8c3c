"""What is known of an op: a record, looked up in one table."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrobust.bounds import examples_apart
from tfrobust.graph import Node, Trace


@dataclasses.dataclass(frozen=True)
class Record:
    """All that the engine knows of an op. What it doesn't name is refused.

    Args:
        rule: How to bound the op: a `Linear`, an `Activation`, or what has
            their methods. What has `planes`, as `Bilinear` has, may read
            several values that depend on the input.
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

    def problem(self, node: Node) -> str | None:
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
            return _MIXED
        several = self.rule.linear or hasattr(self.rule, "planes")
        if len(node.dependent) > 1 and not several:
            return (
                "reads two values that depend on the input; one must be a "
                "constant"
            )
        if len(node.dependent) > 1 and getattr(self.rule, "product", False):
            return (
                "reads two values that depend on the input: their product "
                "isn't linear"
            )
        return self.caveat(node)

    def _knows(self, name, value):
        if name not in self.attributes:
            return False
        known = self.attributes[name]
        if callable(known):
            return bool(known(value))
        return value in known


def ANY(value: Any) -> bool:  # noqa: N802, a constant to those who read the table.
    """Every value of an attribute."""
    return True


_MIXED = (
    "may not treat each example by itself: it mixes the examples of a "
    "batch, reads constants of unknown shape, or is used in a way without rule"
)
# The table, by the type of the op; `rules` fills it.
RULES: dict[str, Record] = {}
# What the engine reads of a rule.
_LINEAR = ("interval", "drift", "factor", "moves", "offset", "vjp", "window")
_NOT_LINEAR = ("interval", "optimizable", "pull", "stable")
_REMEDIES = {
    "Cast": "Certify a copy of the network in float32: lower precision has "
    "rounding errors that no bound accounts for.",
    "BiasAdd": "Let the layer put channels last (data_format), or use another "
    "number of filters.",
    "EagerPyFunc": "Write the layer in TensorFlow ops.",
    "FusedBatchNormV3": "Call batch normalisation with training=False.",
    "LogSoftmax": "Return the logits: their order is that of the "
    "probabilities, and every export of tfrobust has them.",
    "PyFunc": "Write the layer in TensorFlow ops.",
    "Softmax": "Return the logits: their order is that of the "
    "probabilities, and every export of tfrobust has them.",
}


def register_rule(
    op_type: str,
    rule: Any,
    apart: Callable[[Node], bool] = examples_apart.elementwise,
    **attributes: Any,
) -> None:
    """Teaches the engine to bound one more op, for all verifiers.

    Check it with `check_rule` before anything relies on it: bounds are as sound
    as the rule.

    Args:
        op_type: The op's type, as `coverage` names it, such as `"Asinh"`.
        rule: How to bound it: an `Activation`, a `Linear`, or an object with
            their methods.
        apart: A function of a `Node` that says whether each example of the
            output comes from that example alone. By default the op must work
            on every value by itself.
        **attributes: For every attribute of the op, but for types, the values
            that the rule is sound for: a container or a function. Others are
            refused.

    Raises:
        TypeError: If the rule lacks a method that the engine calls, or `apart`
            or an attribute isn't of its kind.
        ValueError: If the op has a rule, or TensorFlow has no such op.

    Example:
        ```
        def ends(node, lower, upper, alpha=None):  # Sound of all that rises.
            flat = tf.zeros_like(lower)
            return tfr.verifiers.Relaxation(
                flat, node.run(lower), flat, node.run(upper)
            )

        rule = tfr.verifiers.Activation(ends, curved=True)
        tfr.verifiers.register_rule("Asinh", rule)
        tfr.verifiers.check_rule(tf.math.asinh, shape=(3,))
        ```
    """
    if op_type in RULES:
        raise ValueError(
            f"The op {op_type} has a rule: {RULES[op_type].rule!r}. Rules are "
            "not replaced; give the op of yours another name."
        )
    if not isinstance(op_type, str) or not hasattr(tf.raw_ops, op_type):
        raise ValueError(
            "`op_type` must be the type of an op of TensorFlow, as "
            f"`coverage(model)` names it. Received: op_type={op_type!r}"
        )
    _check(rule, apart, attributes)
    RULES[op_type] = Record(rule, apart, attributes)


def _check(rule, apart, attributes):
    """Refuses what the engine couldn't call once it meets the op."""
    if isinstance(rule, type) or not hasattr(rule, "linear"):
        missing = ["linear"]
    else:
        needed = _LINEAR if rule.linear else _NOT_LINEAR
        missing = [name for name in needed if not hasattr(rule, name)]
        lines = rule.linear or hasattr(rule, "planes")
        if not (lines or hasattr(rule, "relaxation")):
            missing.append("relaxation")
    if missing:
        raise TypeError(
            "`rule` must be an Activation or a Linear of tfr.verifiers, made, "
            f"or an object with their methods. Received: rule={rule!r}, which "
            f"lacks {', '.join(missing)}."
        )
    if not callable(apart):
        raise TypeError(
            "`apart` must be a function of a node. Received: "
            f"apart={apart!r}. Leave it out for an op of single values."
        )
    for name, known in attributes.items():
        text = isinstance(known, (str, bytes))
        if text or not (callable(known) or hasattr(known, "__contains__")):
            raise TypeError(
                f"`{name}` must be a container of values that the rule is "
                "sound for, or a function that tells. Received: "
                f"{name}={known!r}. Write ({known!r},) for one value."
            )


def look_up(trace: Trace) -> None:
    """Gives every node of a trace but its input the record of its op, once.

    Also what the network only reads the shape of: that its first axis is the
    batch is known of ops with a record alone.

    Raises:
        NotImplementedError: If there is none; it names all such ops.
    """
    nodes = [n for n in (*trace.nodes[1:], *trace.measured) if not n.record]
    missing = {node: why for node in nodes if (why := _why(node))}
    if missing:
        # Once examples are mixed, whatever follows has no batch either.
        named = [
            node
            for node, why in missing.items()
            if not (why.endswith(_MIXED) and missing.keys() & {*node.dependent})
        ]
        whys = dict.fromkeys(f"{missing[node]}." for node in named)
        remedies = dict.fromkeys(_remedy(node) for node in named)
        raise NotImplementedError(" ".join([*whys, *remedies]))
    for node in nodes:
        node.record = RULES[node.type]


def record(node: Node) -> Record:
    """The `Record` of a node other than the input.

    Raises:
        NotImplementedError: If there is none.
    """
    missing = problem(node)
    if missing:
        raise NotImplementedError(missing)
    return RULES[node.type]


def problem(node: Node) -> str | None:
    """Why a node has no bounds, in one sentence; None if it has."""
    why = _why(node)
    return why and f"{why}. {_remedy(node)}"


def _why(node):
    if node.type not in RULES:
        return f"There is no rule to bound the op {node.type} at {node.name!r}"
    why = RULES[node.type].problem(node)
    return why and f"The op {node.type} at {node.name!r} {why}"


def _remedy(node):
    return _REMEDIES.get(
        node.type,
        "Replace the layer, or add a rule: tfrobust.verifiers.register_rule.",
    )
