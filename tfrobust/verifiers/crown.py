"""CROWN."""

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.threats import Threat
from tfrobust.verifiers.bounding import Bounding


@register
class CROWN(Bounding):
    """Linear bounds, propagated backward from every activation.

    Each activation is enclosed by two lines that adapt to the bounds of what
    it reads, and those bounds come from a backward pass of their own.

    Args:
        threat: The `Threat` to bound over.
        intersect: Whether to tighten the margins and the bounds of what
            activations read by interval arithmetic, where that is better, so
            that they are never looser than those of `IBP`. False gives the
            bounds of the paper, and takes longer.

    Example:
        `tfr.verifiers.CROWN(tfr.threats.Linf(0.1))`

    Reference: Zhang et al., 2018, arXiv 1811.00866, theorem 3.2.
    """

    def __init__(self, threat: Threat, intersect: bool = True) -> None:
        super().__init__(threat)
        self.intersect = intersect

    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        return bounds.tightest(specification)
