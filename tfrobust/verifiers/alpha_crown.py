"""alpha-CROWN."""

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.threats import Threat
from tfrobust.verifiers.bounding import Bounding
from tfrobust.verifiers.default_alpha import default_alpha
from tfrobust.verifiers.optimization import Watched, maximize, optimizable
from tfrobust.verifiers.optimized_bounds import OptimizedBounds


@register
class AlphaCROWN(Bounding):
    """CROWN with the slopes of its lower lines, and of planes, optimised.

    Every margin of every example gets lines of its own, found by gradient
    ascent from those of `CROWN`; so does, layer after layer, every bound of
    what activations read that is open. Every step is sound; the best is kept.

    Args:
        threat: The `Threat` to bound over.
        steps: Number of gradient steps, at least 1.
        learning_rate: Length of the first step, in units of a slope that is
            between 0 and 1.
        intersect: Whether to tighten the margins and the bounds of what
            activations read by interval arithmetic, where that is better.
        intermediate: Whether lines are optimised for what activations read,
            too. It takes as long as that many more margins, and is much
            tighter on deep networks; False bounds it as `CROWN` does.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `tfr.verifiers.AlphaCROWN(tfr.threats.Linf(0.1))`

    Reference: Xu et al., 2021, arXiv 2011.13824, section 3.1. There all lines
    serve one margin, here each bound is the largest of its own.
    """

    def __init__(
        self,
        threat: Threat,
        steps: int = 20,
        learning_rate: float = 0.25,
        intersect: bool = True,
        intermediate: bool = True,
    ) -> None:
        super().__init__(threat)
        checks.count(steps, "steps")
        checks.positive(learning_rate, "learning_rate")
        self.steps, self.learning_rate = steps, learning_rate
        self.intersect, self.intermediate = intersect, intermediate

    def bounds(self, trace: Trace, x: tf.Tensor) -> Bounds:
        plain = super().bounds(trace, x)
        if not self.intermediate:
            return plain
        # Half as many are nearly as good, and there are many more bounds.
        return OptimizedBounds(plain, -(-self.steps // 2), self.learning_rate)

    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        nodes = optimizable(bounds.trace)
        watched = {node: Watched(bounds.lines[node]) for node in nodes}
        lower = bounds.lower(specification, watched)
        margins = bounds.intersected(lower, specification)
        if not nodes:
            return margins
        drifts = bounds.drifts

        def improved(alphas):
            lines = {
                node: drifts.lines(node, alpha=alpha)
                for node, alpha in zip(nodes, alphas, strict=True)
            }
            return bounds.lower(specification, lines)

        start = [
            default_alpha(node, drifts, watched[node].coefficients)
            for node in nodes
        ]
        alphas = maximize(
            improved, start, [1.0] * len(nodes), self.steps, self.learning_rate
        )
        return tf.maximum(margins, improved(alphas))
