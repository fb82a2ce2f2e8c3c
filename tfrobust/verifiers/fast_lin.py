"""Fast-Lin."""

from tfrobust.backend import register
from tfrobust.bounds.activation import Activation, parallel_relu
from tfrobust.bounds.bounds import Bounds
from tfrobust.verifiers.bounding import Bounding

_PARALLEL = {"Relu": Activation(parallel_relu)}


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

    def __init__(self, threat, intersect=True):
        super().__init__(threat)
        self.intersect = intersect

    def _margins(self, trace, x, functions):
        bounds = Bounds(
            trace, self.threat, x, intersect=self.intersect, rules=_PARALLEL
        )
        return bounds.tightest(functions)
