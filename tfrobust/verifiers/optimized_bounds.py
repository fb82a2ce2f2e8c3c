"""Bounds of what activations read, by lines that are optimised for each."""

from typing import Any

import tensorflow as tf

from tfrobust.bounds import Bounds
from tfrobust.bounds.bounds import CHUNK
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.open_values import index_of, placed
from tfrobust.bounds.patches import Patches
from tfrobust.bounds.propagation import backward
from tfrobust.bounds.rounding import Drifts
from tfrobust.bounds.sparse import Sparse
from tfrobust.graph import Node
from tfrobust.verifiers.default_alpha import default_alpha
from tfrobust.verifiers.optimization import Watched, maximize

# Values of which an ascent holds several: points, averages and gradients.
_HELD = 16


class OptimizedBounds(Bounds):
    """`Bounds` for which each open value chooses the lines that bound it.

    What is open in other bounds, so that an activation gains from tighter ones,
    is bounded once more from below and from above, by gradient ascent over the
    lines of all activations before.

    Args:
        plain: Bounds by the default lines, than which these are never looser.
        steps: Number of gradient steps.
        learning_rate: Length of the first step.

    Reference: Xu et al., 2021, arXiv 2011.13824, section 3.1.
    """

    def __init__(
        self,
        plain: Bounds,
        steps: int,
        learning_rate: float,
    ) -> None:
        self.plain, self._ascent = plain, (steps, learning_rate)
        intersect = plain._intersect
        super().__init__(plain.trace, plain.threat, plain.x, True, intersect)

    def intersected(self, lower: tf.Tensor, forms: Dense) -> tf.Tensor:
        # Tighter intervals may have default lines that suit less.
        found = super().intersected(lower, forms)
        return tf.maximum(found, self.plain.tightest(forms))

    def _tightened(self, node, consumers):
        lower, upper = self.plain.intervals[node]
        if self._intersect:
            low, high = self.intervals[node]
            lower, upper = tf.maximum(low, lower), tf.minimum(high, upper)
        cone = _cone(node)
        before = [n for n in self.lines if n in cone]
        if not any(n.rule.optimizable for n in before):
            return lower, upper
        self.intervals[node] = lower, upper
        chosen = self._unstable(node, consumers)
        if chosen is None:
            chosen = tf.ones([tf.shape(lower)[0], node.size], tf.bool)
        index = index_of(chosen)
        form = Patches if len(node.shape) == 3 else Dense
        length = max(1, CHUNK // (_HELD * sum(n.size for n in before)))

        def bound(forms, examples):
            return self._ascended(forms, before, examples)

        low, high = self._in_chunks(node, form, index, length, bound)
        low = tf.maximum(lower, placed(lower, chosen, index, low))
        high = tf.minimum(upper, -placed(-upper, chosen, index, high))
        return tf.minimum(low, high), tf.maximum(low, high)

    def _ascended(self, forms, before, examples):
        """The largest lower bounds of chosen forms, `[2, rows]`."""
        drifts = _Rows(self.intervals, self.drifts, examples)
        fixed = {n: drifts.lines(n) for n in before}
        free = [n for n in before if n.rule.optimizable]
        forms = {given: _by_rows(f, given.shape) for given, f in forms.items()}

        def lower(lines):
            found, constant = backward(self.trace, forms, {**fixed, **lines})
            if not isinstance(constant, float):
                constant = tf.transpose(constant)
            if found is not None:
                found = Sparse(_swapped(found.tensor), examples)
            return self._concrete(found, constant)

        watched = {n: Watched(fixed[n]) for n in free}
        lower(watched)
        start = [
            default_alpha(n, drifts, watched[n].coefficients) for n in free
        ]

        def improved(alphas):
            chosen = zip(free, alphas, strict=True)
            found = lower({n: drifts.lines(n, alpha=a) for n, a in chosen})
            return tf.transpose(found)

        alphas = maximize(improved, start, [1.0] * len(free), *self._ascent)
        found = tf.transpose(improved(alphas))
        return tf.where(tf.math.is_finite(found), found, -float("inf"))


class _Rows(Drifts):
    """The drifts, and so the lines, of rows that each belong to an example."""

    def __init__(self, intervals: dict, drifts: Drifts, examples: Any) -> None:
        super().__init__(intervals)
        self._whole, self._examples = drifts, examples
        self._parts: dict[Node, tuple] = {}

    def parts(self, node: Node) -> tuple:
        if node not in self._parts:
            parts = self._whole.parts(node)
            self._parts[node] = tuple(map(self._examples.rows_of, parts))
        return self._parts[node]


def _by_rows(forms, shape):
    """Rows of pairs, `Sparse`, as pairs of forms for each row, `Dense`."""
    return Dense(_swapped(forms.dense(shape).tensor))


def _swapped(tensor):
    """The same with the first two axes exchanged."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def _cone(node):
    """All nodes that a node is computed from."""
    pending, cone = [node], set()
    while pending:
        current = pending.pop()
        if current.op is not None and current not in cone:
            cone.add(current)
            pending += current.dependent
    return cone
