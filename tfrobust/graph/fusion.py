"""Sub-graphs that stand for one op, each recognised in all of its parts.

What isn't exactly a sub-graph that is known stays as it is, with the rules of
its ops or without.
"""

from tfrobust.graph import (
    bilinear,
    dilations,
    inner,
    normalizations,
    parts,
    products,
    rows,
    selections,
    time_major,
)
from tfrobust.graph.node import Node


def fuse(nodes: list[Node], measured: set[Node]) -> None:
    """Replaces what is known among the nodes of a trace, in place.

    Args:
        nodes: Every node on a way to the output, each after those it reads.
        measured: Nodes whose shapes were read, be they among them or not.
    """
    for node in nodes:
        dilations.fuse(node)
        time_major.fuse(node)
        products.fuse(node)
    rows.fuse(nodes, measured)
    selections.fuse(nodes)
    inner.fuse(nodes)
    for node in nodes:
        normalizations.fuse(node)
    for node in nodes:
        parts.fuse(node)
        bilinear.fuse(node)
