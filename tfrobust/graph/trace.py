"""Tracing a network to what can be bounded."""

from tfrobust.graph.fusion import fuse
from tfrobust.graph.reading import Reading


class Trace(Reading):
    """The ops of a network on one batch, those known as one being one node.

    Args and attributes: see `Reading`.
    """

    @property
    def largest(self) -> int:
        """The most values that a node has for one example."""
        return max(node.size for node in self.nodes)

    def _found(self, measured):
        fuse(self.output, measured)
