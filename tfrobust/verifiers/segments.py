"""What a network does between two activations: a matrix, and its norm.

An activation is what isn't linear, and what only sorts: see `activations`.
"""

import math
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from tfrobust.bounds.dense import Dense
from tfrobust.bounds.forms import Forms
from tfrobust.bounds.propagation import sources
from tfrobust.bounds.sorting import moves_as_a_whole
from tfrobust.graph import Node, Trace
from tfrobust.types import TensorLike

# The largest slopes, rounded up.
SLOPES = {
    "Abs": 1.0,
    "Atan": 1.0,
    "Elu": 1.0,
    "Erf": 1.1284,
    "Gelu": 1.1291,
    "Maximum": 1.0,
    "MinMax": 1.0,
    "Minimum": 1.0,
    "Relu": 1.0,
    "Relu6": 1.0,
    "Selu": 1.7581,
    "Sigmoid": 0.25,
    "Silu": 1.0999,
    "Softplus": 1.0,
    "Softsign": 1.0,
    "Tanh": 1.0,
}
# How many coefficients a matrix may have: half a GiB of them.
LARGEST = 2**27


def activations(trace: Trace) -> set[Node]:
    """What isn't linear, or moves values as a whole, below the output.

    What the latter is computed from beside those values isn't among them.
    """
    below, found = {trace.output}, set()
    for node in reversed(trace.nodes[1:]):
        if node not in below:
            continue
        whole = moves_as_a_whole(node)
        if whole or not node.rule.linear:
            found.add(node)
        below.update(node.dependent[:1] if whole else node.dependent)
    return found


def slope_of(node: Node) -> float:
    """The largest slope of an activation, or how pooling lengthens a move.

    Raises:
        NotImplementedError: If it isn't known.
    """
    known = SLOPES.get(node.type)
    if node.type == "LeakyRelu":
        known = max(1.0, abs(node.op.get_attr("alpha")))
    if node.type == "MaxPool":
        sizes = node.op.get_attr("ksize"), node.op.get_attr("strides")
        # In so many windows may the largest value be that of one input.
        windows = (-(-size // step) for size, step in zip(*sizes, strict=True))
        known = math.sqrt(math.prod(windows))
    elif known is not None:
        # A value that is broadcast moves in so many places.
        known *= math.sqrt(node.size / node.dependent[0].size)
    alone = len(node.dependent) == 1 or moves_as_a_whole(node)
    if known is None or not alone:
        raise NotImplementedError(
            f"The largest slope of the op {node.type} at {node.name!r} isn't "
            f"known. Known are those of {', '.join(SLOPES)}, LeakyRelu and "
            "MaxPool. Use another activation, or another verifier."
        )
    return known


def segment(
    trace: Trace, node: Node, stops: Collection[Node]
) -> dict[Node, Forms]:
    """The matrices between an activation and those before it.

    Args:
        trace: The `Trace`.
        node: The activation.
        stops: All `activations`.

    Returns:
        For the input, and each activation, on which `node` stands
        by linear ops alone: the coefficients of all that it reads, shape
        `[1, values, ...]`.

    Raises:
        NotImplementedError: If a matrix would be too large.
    """
    given = node.dependent[0]
    before = max(other.size for other in trace.nodes[: trace.nodes.index(node)])
    if given.size * before > LARGEST:
        raise NotImplementedError(
            f"The layers before {node.name!r} form a matrix of up to "
            f"{given.size} x {before}, too large to take its singular values: "
            f"at most {LARGEST} coefficients. Use a smaller network, or "
            "another verifier."
        )
    eye = tf.reshape(tf.eye(given.size), [1, -1, *given.shape])
    return sources(trace, given, Dense(eye), stops)


def largest(matrix: tf.Tensor) -> tf.Tensor:
    """The largest singular value of a matrix, rounded up."""
    matrix = tf.cast(matrix, tf.float64)
    wide = matrix.shape[0] < matrix.shape[1]
    gram = tf.matmul(matrix, matrix, transpose_a=not wide, transpose_b=wide)
    found = tf.maximum(tf.linalg.eigvalsh(gram)[-1], 0.0)
    return tf.cast(1.000001 * tf.sqrt(found), tf.float32)


def estimated(
    trace: Trace,
    node: Node,
    stops: Collection[Node],
    iterations: int,
    step: TensorLike = 0,
) -> dict[Node, Any]:
    """The largest singular values between an activation and those before it.

    By power iteration, from below, without ever forming the matrices: for
    training. Gradients reach the weights.

    Args:
        trace: The `Trace`.
        node: The activation.
        stops: All `activations`.
        iterations: How often the matrix and its transpose are applied.
        step: Keys where they start. From the same place each time, training
            would learn to lengthen what can't be seen from there.

    Returns:
        A scalar for each node that `segment` would name.
    """
    given = node.dependent[0]

    def pulled(rows):
        found = sources(trace, given, Dense(rows), stops)
        return {source: forms.tensor for source, forms in found.items()}

    shape = [1, 1, *given.shape]
    seed = [tf.constant(given.size, tf.int64), tf.cast(step, tf.int64)]
    start = tf.random.stateless_normal(shape, seed)
    found = {}
    for source in pulled(start):
        row = start
        for _ in range(iterations):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(row)
                image = pulled(row)[source]
            row = tape.gradient(image, row, output_gradients=image)
            row = tf.stop_gradient(row / (tf.norm(row) + 1e-30))
        found[source] = tf.norm(pulled(row)[source])
    return found
