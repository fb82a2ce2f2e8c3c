"""Convolutions with gaps, which TensorFlow computes in blocks of the batch."""

from tfrobust.graph.composite import become
from tfrobust.graph.node import Node, rerun

# They slide a window over each entry of a batch by itself.
_KINDS = {
    "Conv2D": "DilatedConvolution",
    "Conv3D": "DilatedConvolution",
    "DepthwiseConv2dNative": "DilatedDepthwiseConvolution",
}


def fuse(node: Node) -> None:
    """Recognises `BatchToSpaceND(convolution(SpaceToBatchND(x)))`.

    The blocks of an example become entries of a longer batch. If both ops cut
    in the same way, they come back to their example; in between nothing mixes
    entries, so that the whole is a function of each example alone.
    """
    chain = _chain(node)
    if chain is None:
        return
    place = len(chain) // 2
    first, convolution = chain[0], chain[place]
    kernel = convolution.inputs[1]
    if kernel is None or not kernel.shape.is_fully_defined():
        return
    if convolution.op.get_attr("padding") not in (b"SAME", b"VALID"):
        return
    ops = [other.op for other in chain]
    constants = [
        [other.constant(k) for k in range(1, len(other.inputs))]
        for other in chain
    ]
    constants[place] = []
    if any(value is None for values in constants for value in values):
        return
    if constants[0][0].tolist() != constants[-1][0].tolist():
        return

    def run(x, kernel):
        for k, (op, rest) in enumerate(zip(ops, constants, strict=True)):
            (x,) = rerun(op, [x, *([kernel] if k == place else rest)])
        return x

    become(node, _KINDS[convolution.type], [first.inputs[0], kernel], run)


def _chain(node):
    """The nodes from one op to the other, or None."""
    if node.type != "BatchToSpaceND":
        return None
    chain = [node]
    while chain[0].type != "SpaceToBatchND" and len(chain) < 6:
        if chain[0].positions != [0]:
            return None
        chain.insert(0, chain[0].inputs[0])
    types = [other.type for other in chain[1:-1]]
    if chain[0].positions != [0] or chain[0].type != "SpaceToBatchND":
        return None
    if len(types) == 1 and types[0] in _KINDS:
        return chain
    if len(types) != 3 or types[1] not in _KINDS:
        return None
    if [types[0], types[2]] != ["ExpandDims", "Squeeze"]:
        return None
    return chain if _keep_entries(chain[1], chain[3]) else None


def _keep_entries(expand, squeeze):
    """Whether one axis that isn't the first is added, and one dropped."""
    axis, dropped = expand.constant(1), squeeze.op.get_attr("squeeze_dims")
    ranks = [other.op.inputs[0].shape.rank for other in (expand, squeeze)]
    if axis is None or len(dropped) != 1 or None in ranks:
        return False
    return bool(int(axis) % (ranks[0] + 1) and dropped[0] % ranks[1])
