"""Statistics of the batch, which training reads and changes."""

from typing import Any

import tensorflow as tf

from tfrobust.graph.composite import become
from tfrobust.graph.parts import part
from tfrobust.graph.purity import writes

_REDUCED = {"Mean", "Sum"}


def taken(frame: Any, op: tf.Operation) -> bool:
    """Takes what an op computes of the whole batch for a constant.

    So are means and sums over the first axis of a value that has one row for
    each example. Batch normalisation in one op becomes a product and a sum
    with those. What is written to variables doesn't count.

    Returns:
        Whether that is all there is to say of the op.
    """
    if writes(op) and not op.outputs:
        return True
    if op.type == "FusedBatchNormV3" and op.get_attr("is_training"):
        _normalize(frame, op)
        return True
    if op.type not in _REDUCED or not _over_batch(frame, op):
        return False
    frame.sizes.settle(op.outputs[0])
    return True


def _over_batch(frame, op):
    """Whether the first axis is among those that are reduced."""
    value, axes = op.inputs
    node, axes = frame.nodes.get(value.ref()), tf.get_static_value(axes)
    if node is None or not node.batched or axes is None:
        return False
    rank = value.shape.rank
    return rank is not None and any(int(a) % rank == 0 for a in axes.flat)


def _normalize(frame, op):
    """`y = f * x + s`, with `f` and `s` from the moments of the batch."""
    x, scale, offset = op.inputs[:3]
    last = op.get_attr("data_format") == b"NHWC"
    axes = [0, 1, 2] if last else [0, 2, 3]
    # Those that the op returns have no gradient.
    mean, variance = tf.nn.moments(tf.cast(x, tf.float32), axes)
    factor = scale * tf.math.rsqrt(variance + op.get_attr("epsilon"))
    shift = offset - mean * factor
    shape = [-1] if last else [-1, 1, 1]
    factor, shift = (
        tf.cast(tf.reshape(value, shape), x.dtype) for value in (factor, shift)
    )
    output = op.outputs[0]
    node = frame.node(output, [frame.nodes[x.ref()]], output.shape)
    scaled = part(node, "Mul", [*node.inputs, factor], tf.multiply)
    become(node, "AddV2", [scaled, shift], tf.add)
    frame.nodes[output.ref()] = node
