"""The one table of rules: how to bound each op.

A linear op costs its name; any other op a pair of lines. An op that isn't here
has no bounds: see `rule`.
"""

from typing import Any

from tfrobust.bounds import activation, curves, examples_apart
from tfrobust.bounds.activation import Activation
from tfrobust.bounds.linear import Linear, batch_norm_magnitude
from tfrobust.bounds.pooling import MaxPool

_MOVES = Linear()
_SUM = Linear(offset=True, channelwise=True)
_WEIGHTED = Linear(weights=True)
_SCALED = Linear(weights=True, channelwise=True)
_STEP = Activation(activation.step)
_GRID = Activation(activation.fake_quantization)

RULES: dict[str, Any] = {
    "Add": _SUM,
    "AddN": _SUM,
    "AddV2": _SUM,
    "AvgPool": _MOVES,
    "BatchMatMulV2": _WEIGHTED,
    "BiasAdd": _SUM,
    "Ceil": _STEP,
    "ConcatV2": _MOVES,
    "Conv2D": _WEIGHTED,
    "Conv3D": _WEIGHTED,
    "DepthToSpace": _MOVES,
    "DepthwiseConv2dNative": _WEIGHTED,
    "Einsum": _WEIGHTED,
    "Elu": Activation(curves.elu, free=True),
    "ExpandDims": _MOVES,
    "FakeQuantWithMinMaxArgs": _GRID,
    "FakeQuantWithMinMaxVars": _GRID,
    "FakeQuantWithMinMaxVarsPerChannel": _GRID,
    "Floor": _STEP,
    "FusedBatchNormV3": Linear(
        weights=True,
        offset=True,
        channelwise=True,
        magnitude=batch_norm_magnitude,
    ),
    "LeakyRelu": Activation(activation.leaky_relu, free=True, hinge=True),
    "MatMul": _WEIGHTED,
    "MaxPool": MaxPool(),
    "Maximum": Activation(activation.maximum, free=True),
    "Mean": _MOVES,
    "Minimum": Activation(activation.minimum, free=True),
    "MirrorPad": _MOVES,
    "Mul": _SCALED,
    "Neg": Linear(falls=(0,), channelwise=True),
    "Pack": _MOVES,
    "Pad": _MOVES,
    "PadV2": Linear(offset=True),
    "RealDiv": _SCALED,
    "Relu": Activation(activation.relu, free=True, hinge=True),
    "Relu6": Activation(activation.relu6),
    "Reshape": _MOVES,
    "Rint": _STEP,
    "Round": _STEP,
    "Sigmoid": Activation(curves.sigmoid, free=True),
    "Sign": _STEP,
    "Slice": _MOVES,
    "Softplus": Activation(curves.softplus, free=True),
    "SpaceToDepth": _MOVES,
    "Split": _MOVES,
    "SplitV": _MOVES,
    "Squeeze": _MOVES,
    "StridedSlice": _MOVES,
    "Sub": Linear(offset=True, falls=(1,), channelwise=True),
    "Sum": _MOVES,
    "Tanh": Activation(curves.tanh, free=True),
    "Transpose": _MOVES,
    "Unpack": _MOVES,
}
_REMEDIES = {
    "Cast": "Certify a copy of the network in float32: lower precision has "
    "rounding errors that no bound accounts for.",
    "EagerPyFunc": "Write the layer in TensorFlow ops.",
    "LogSoftmax": "Return the logits: their order is that of the "
    "probabilities, and every export of tfrobust has them.",
    "PyFunc": "Write the layer in TensorFlow ops.",
    "Softmax": "Return the logits: their order is that of the "
    "probabilities, and every export of tfrobust has them.",
}


def rule(node):
    """The rule of a node other than the input.

    Raises:
        NotImplementedError: If there is none.
    """
    missing = problem(node)
    if missing:
        raise NotImplementedError(missing)
    return RULES[node.type]


def problem(node):
    """Why a node has no bounds, in one sentence; None if it has."""
    remedy = _REMEDIES.get(
        node.type,
        "Replace the layer, or add a rule to tfrobust/bounds/rules.py.",
    )
    if node.type not in RULES:
        return (
            f"There is no rule to bound the op {node.type} at {node.name!r}. "
            f"{remedy}"
        )
    if not examples_apart.keeps(node):
        return (
            f"The op {node.type} at {node.name!r} mixes the examples of a "
            "batch, or reads constants of unknown shape, so that no example "
            f"can be bounded by itself. {remedy}"
        )
    if not RULES[node.type].linear and len(node.dependent) > 1:
        return (
            f"There is no rule to bound the op {node.type} at {node.name!r} "
            "of two values that depend on the input; one must be a constant. "
            f"{remedy}"
        )
    if RULES[node.type] in (_WEIGHTED, _SCALED) and len(node.dependent) > 1:
        return (
            f"There is no rule to bound the op {node.type} at {node.name!r} "
            "of two values that depend on the input: their product isn't "
            f"linear. {remedy}"
        )
    return None
