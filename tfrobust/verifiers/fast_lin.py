"""Fast-Lin."""

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.activation import PARALLEL
from tfrobust.bounds.dense import Dense
from tfrobust.threats import Threat
from tfrobust.verifiers.bounding import Bounding


@register
class FastLin(Bounding):
    """Linear bounds with one slope for both lines around a ReLU.

    The bounds of Wong and Kolter's dual network are the same. Activations
    other than ReLU get the lines of `CROWN`.

    Args:
        threat: The `Threat` to bound over.
        intersect: Whether to tighten the margins and the bounds of what
            activations read by interval arithmetic, where that is better, so
            that they are never looser than those of `IBP`. False gives the
            bounds of the paper, and takes longer.

    Example:
        `tfr.verifiers.FastLin(tfr.threats.Linf(0.1))`

    Reference: Weng et al., 2018, arXiv 1804.09699, theorem 3.5; Wong and
    Kolter, 2018, arXiv 1711.00851, theorem 1.
    """

    rules = PARALLEL

    def __init__(self, threat: Threat, intersect: bool = True) -> None:
        super().__init__(threat)
        self.intersect = intersect

    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        return bounds.tightest(specification)
