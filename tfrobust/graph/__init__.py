"""Networks as lists of ops: tracing them and running their ops again."""

from tfrobust.graph.frozen import Frozen
from tfrobust.graph.hinged import Hinged
from tfrobust.graph.node import Node
from tfrobust.graph.reading import run_nodes
from tfrobust.graph.trace import Trace

__all__ = ["Frozen", "Hinged", "Node", "Trace", "run_nodes"]


def __dir__() -> list[str]:
    return __all__
