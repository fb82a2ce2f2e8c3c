"""Looking an op up in the table of rules, and adding one to it."""

import tensorflow as tf

from tfrobust.bounds import examples_apart
from tfrobust.bounds.record import Record
from tfrobust.bounds.rules import RULES

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
    op_type, rule, apart=examples_apart.elementwise, **attributes
):
    """Teaches the engine to bound one more op, for all verifiers.

    Check it with `check_rule` before anything relies on it: bounds are as sound
    as the rule.

    Args:
        op_type: The op's type, as `coverage` names it, such as `"Softsign"`.
        rule: How to bound it: an `Activation`, a `Linear`, or an object with
            their methods.
        apart: A function of a `Node` that says whether each example of the
            output comes from that example alone. By default the op must work
            on every value by itself.
        **attributes: For every attribute of the op, but for types, the values
            that the rule is sound for: a container or a function. Others are
            refused.

    Raises:
        ValueError: If the op has a rule, or TensorFlow has no such op.

    Example:
        ```
        def ends(node, lower, upper, free=None):  # Sound of all that rises.
            flat = tf.zeros_like(lower)
            return tfr.verifiers.Relaxation(
                flat, node.run(lower), flat, node.run(upper)
            )

        rule = tfr.verifiers.Activation(ends, curved=True)
        tfr.verifiers.register_rule("Softsign", rule)
        tfr.verifiers.check_rule(tf.math.softsign, shape=(3,))
        ```
    """
    if op_type in RULES:
        raise ValueError(
            f"The op {op_type} has a rule: {RULES[op_type].rule!r}. Rules are "
            "not replaced; give the op of yours another name."
        )
    if not hasattr(tf.raw_ops, op_type):
        raise ValueError(
            "`op_type` must be the type of an op of TensorFlow, as "
            f"`coverage(model)` names it. Received: op_type={op_type!r}"
        )
    RULES[op_type] = Record(rule, apart, attributes)


def rule(node):
    """The rule of a node other than the input, looked up once.

    Raises:
        NotImplementedError: If there is none.
    """
    return node.kept.value("rule", lambda: _rule(node))


def problem(node):
    """Why a node has no bounds, in one sentence; None if it has."""
    remedy = _REMEDIES.get(
        node.type,
        "Replace the layer, or add a rule: tfrobust.verifiers.register_rule.",
    )
    if node.type not in RULES:
        return (
            f"There is no rule to bound the op {node.type} at {node.name!r}. "
            f"{remedy}"
        )
    why = RULES[node.type].problem(node)
    return why and f"The op {node.type} at {node.name!r} {why}. {remedy}"


def _rule(node):
    missing = problem(node)
    if missing:
        raise NotImplementedError(missing)
    return RULES[node.type].rule
