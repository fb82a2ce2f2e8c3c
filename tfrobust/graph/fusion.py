"""Sub-graphs that stand for one op, each recognised in all of its parts.

What isn't exactly a sub-graph that is known stays as it is, with the rules of
its ops or without.
"""

from tfrobust.graph import (
    bilinear,
    dilations,
    inner,
    merged_steps,
    normalizations,
    parts,
    products,
    rows,
    selections,
    sorting,
    statistics,
    time_major,
)
from tfrobust.graph.node import Node, ancestors


def shape(output: Node, measured: set[Node]) -> None:
    """Replaces what moves the batch, or merges it with other axes, in place.

    Shapes that differ with the size of the batch elsewhere are known then.

    Args:
        output: The node of the network's output.
        measured: Nodes whose shapes were read.
    """
    for node in ancestors(output, *measured):
        time_major.fuse(node)
    _merge(output, measured)


def fuse(output: Node, measured: set[Node]) -> None:
    """Replaces what is known among the nodes of a trace, in place.

    Args:
        output: The node of the network's output.
        measured: Nodes whose shapes were read.
    """
    for node in ancestors(output, *measured):
        dilations.fuse(node)
        # What reads it has a shape then, by which a curve is recognised.
        time_major.fuse(node)
        products.fuse(node)
        statistics.fuse(node)
    _merge(output, measured)
    nodes = ancestors(output, *measured)
    selections.fuse(nodes)
    inner.fuse(nodes)
    for node in nodes:
        normalizations.fuse(node)
        sorting.fuse(node)
    for node in nodes:
        parts.fuse(node)
        bilinear.fuse(node)


def _merge(output, measured):
    """Recognises rows and steps that the batch was merged with."""
    rows.fuse(ancestors(output, *measured), measured)
    merged_steps.fuse(ancestors(output, *measured), measured)
