"""The one table of rules: how to bound each op.

A linear op costs its name; any other op a pair of lines. An op that isn't here
has no bounds, nor has one with an attribute that its record doesn't name: see
`Record`, which also looks it up.
"""

import tensorflow as tf

from tfrobust.bounds import (
    activation,
    curves,
    normalization,
    piecewise,
    rounding,
)
from tfrobust.bounds import examples_apart as apart
from tfrobust.bounds.activation import Activation
from tfrobust.bounds.channels import same_channels
from tfrobust.bounds.convolutions import Convolution
from tfrobust.bounds.linear import Linear
from tfrobust.bounds.record import ANY, RULES, Record


def _always(node):
    return True


def _matmul_vjp(node, flat):
    transposed = node.op.get_attr("transpose_b")
    return tf.matmul(flat, node.inputs[1], transpose_b=not transposed)


def _reshape_vjp(node, flat):
    return tf.reshape(flat, [-1, *node.dependent[0].shape])


def _convolution(kernel, full):
    how = Convolution(kernel, full)
    return Linear(how.terms, weights=True, vjp=how.vjp, convolution=how)


def _known(names, **values):
    """Attributes of which any value will do, and those of which some will."""
    return dict.fromkeys(names.split(), ANY) | values


def _moving(check, attributes=None, outputs=1, **options):
    return Record(Linear(**options), check, attributes or {}, outputs)


def _elementwise(rule, attributes=None):
    return Record(rule, apart.elementwise, attributes or {})


def _sum(**options):
    return Linear(rounding.added, offset=True, channelwise=_always, **options)


def _other_layout(node):
    """Refuses another layout than that of the convolution that is read.

    TensorFlow's graph optimiser fuses both and takes the convolution's.
    """
    read = node.dependent[0]
    if read.type not in ("Conv2D", "DepthwiseConv2dNative", "Conv3D"):
        return None
    layouts = [
        other.op.get_attr("data_format").replace(b"D", b"")  # NDHWC is NHWC.
        for other in (read, node)
    ]
    if layouts[0] == layouts[1]:
        return None
    return (
        "takes another axis for the channels than the convolution before it, "
        "so that TensorFlow computes other values in a graph than outside of "
        "one"
    )


def _padded_groups(node):
    """Refuses what TensorFlow has no gradient for."""
    first = node.op.get_attr("data_format") == b"NCHW"
    channels = node.dependent[0].shape[0 if first else -1]
    if node.op.get_attr("padding") != b"EXPLICIT":
        return None
    if node.inputs[1].shape[2] == channels:
        return None
    return "has groups of channels and explicit padding, which has no gradient"


def _chosen_by_input(node):
    """Refuses a choice that isn't the same for every input."""
    if 0 in node.positions:
        return "chooses by a value that depends on the input"
    return None


def _one_example(value):
    """Whether a window lies within one example."""
    return value[0] == 1


_SCALED = Linear(rounding.added, weights=True, channelwise=same_channels)
_STEP = _elementwise(Activation(piecewise.step))
_REDUCED = Record(
    Linear(rounding.averaged), apart.reduction, _known("keep_dims")
)
_GRID = Activation(piecewise.fake_quantization)
_IMAGES, _VOLUMES = (b"NHWC", b"NCHW"), (b"NDHWC",)
_CONVOLVED = _known(
    "strides padding explicit_paddings dilations use_cudnn_on_gpu",
    data_format=_IMAGES,
)
_POOLED = _known(
    "padding", ksize=_one_example, strides=_one_example, data_format=_IMAGES
)
_SPACE = _known("block_size", data_format=_IMAGES)
_BITS = _known("num_bits narrow_range")

RULES |= {
    "Add": _elementwise(_sum()),
    "AddN": Record(_sum(), apart.add_n, _known("N")),
    "AddV2": _elementwise(_sum()),
    "AvgPool": Record(Linear(rounding.pooled), apart.first, _POOLED),
    "BatchMatMulV2": Record(
        Linear(rounding.multiplied, weights=True),
        apart.batch_matmul,
        _known("adj_x adj_y grad_x grad_y"),
    ),
    "BiasAdd": Record(
        _sum(),
        apart.first,
        {"data_format": _IMAGES},
        caveat=_other_layout,
    ),
    "Ceil": _STEP,
    "ConcatV2": _moving(apart.concat, _known("N"), offset=True),
    "Conv2D": Record(
        _convolution(tf.raw_ops.Conv2DBackpropInput, True),
        apart.first,
        _CONVOLVED,
        caveat=_padded_groups,
    ),
    "Conv3D": Record(
        Linear(rounding.convolved, weights=True),
        apart.first,
        _known("strides padding dilations", data_format=_VOLUMES),
    ),
    "DepthToSpace": _moving(apart.first, _SPACE),
    "DepthwiseConv2dNative": Record(
        _convolution(tf.raw_ops.DepthwiseConv2dNativeBackpropInput, False),
        apart.first,
        _CONVOLVED,
    ),
    "Einsum": Record(
        Linear(rounding.everything, weights=True),
        apart.einsum,
        _known("equation N"),
    ),
    "Elu": _elementwise(Activation(curves.elu, optimizable=True, curved=True)),
    "ExpandDims": _moving(apart.expand),
    "FakeQuantWithMinMaxArgs": Record(
        _GRID, apart.first, _BITS | _known("min max")
    ),
    "FakeQuantWithMinMaxVars": Record(_GRID, apart.first, _BITS),
    "FakeQuantWithMinMaxVarsPerChannel": Record(_GRID, apart.first, _BITS),
    "Floor": _STEP,
    "FusedBatchNormV3": Record(
        Linear(
            rounding.added,
            weights=True,
            offset=True,
            channelwise=normalization.channels_last,
            magnitude=normalization.magnitude,
            constants=normalization.constants,
        ),
        apart.first,
        _known(
            "epsilon exponential_avg_factor",
            data_format=(b"NHWC", b"NCHW", b"NDHWC", b"NCDHW"),
            is_training=(False,),
        ),
        caveat=_other_layout,
    ),
    "LeakyRelu": _elementwise(
        Activation(activation.leaky_relu, optimizable=True, hinge=True),
        {"alpha": lambda alpha: 0 <= alpha <= 1},
    ),
    "MatMul": Record(
        Linear(rounding.multiplied, weights=True, vjp=_matmul_vjp),
        apart.matmul,
        _known("transpose_a transpose_b grad_a grad_b"),
    ),
    "Maximum": _elementwise(Activation(piecewise.maximum, optimizable=True)),
    "Mean": _REDUCED,
    "Minimum": _elementwise(Activation(piecewise.minimum, optimizable=True)),
    "MirrorPad": _moving(apart.pad, _known("mode")),
    "Mul": _elementwise(_SCALED),
    "Neg": _elementwise(Linear(falls=(0,), channelwise=_always)),
    "Pack": _moving(apart.pack, _known("N axis"), offset=True),
    "Pad": _moving(apart.pad),
    "PadV2": _moving(apart.pad, offset=True),
    "RealDiv": Record(_SCALED, apart.scaled),
    "Relu": _elementwise(
        Activation(activation.relu, optimizable=True, hinge=True)
    ),
    "Relu6": _elementwise(Activation(piecewise.relu6)),
    "Reshape": _moving(apart.reshape, vjp=_reshape_vjp),
    "Rint": _STEP,
    "Round": _STEP,
    "SelectV2": Record(
        Linear(offset=True), apart.elementwise, caveat=_chosen_by_input
    ),
    "Sigmoid": _elementwise(
        Activation(curves.sigmoid, optimizable=True, bent=True, curved=True)
    ),
    "Sign": _STEP,
    "Slice": _moving(apart.slicing),
    "Softplus": _elementwise(
        Activation(curves.softplus, optimizable=True, curved=True)
    ),
    "SpaceToDepth": _moving(apart.first, _SPACE),
    "Split": _moving(apart.split, _known("num_split"), None),
    "SplitV": _moving(apart.split, _known("num_split"), None),
    "Squeeze": _moving(apart.squeeze, _known("squeeze_dims")),
    "StridedSlice": _moving(
        apart.strided_slice,
        _known(
            "begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask"
        ),
    ),
    "Sub": _elementwise(_sum(falls=(1,))),
    "Sum": _REDUCED,
    "Tanh": _elementwise(
        Activation(curves.tanh, optimizable=True, bent=True, curved=True)
    ),
    "Transpose": _moving(apart.transpose),
    "Unpack": _moving(apart.unpack, _known("num axis"), None),
}
