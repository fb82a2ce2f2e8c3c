"""Whether an op treats every channel by itself."""

from tfrobust.graph import Node


def same_channels(node: Node) -> bool:
    """Whether every constant has one value for each channel, or only one."""
    constants = [i for i in node.inputs if not isinstance(i, Node)]
    return all(map(_by_channel, constants))


def _by_channel(constant):
    if constant is None or not constant.shape.is_fully_defined():
        return False
    count = constant.shape.num_elements()
    return count == 1 or count == constant.shape[-1]
