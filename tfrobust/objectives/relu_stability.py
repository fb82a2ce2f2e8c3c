"""ReLU stability."""

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.objectives.bound_regularized import BoundRegularized, of_relus
from tfrobust.objectives.objective import Objective
from tfrobust.threats.rows import flat
from tfrobust.types import Amount
from tfrobust.verifiers.bounding import Bounding


@register
class ReLUStability(BoundRegularized):
    """Adds `-weight * sum(tanh(1 + l * u))` over all ReLUs to the loss.

    l and u bound what a ReLU reads. The sum is largest where both have one
    sign, so fewer ReLUs may be on or off within the threat, and branch and
    bound has less to decide. It logs `relu_stability`, the sum.

    Args:
        objective: The `Objective` to regularize.
        verifier: Bounds what ReLUs read: `IBP`, or a tighter one.
        weight: Weight of the sum, not negative, or a schedule of it.

    Raises:
        TypeError: If `objective` or `verifier` is none.
        ValueError: If `weight` is negative.

    Example:
        `ReLUStability(WorstCase(attack), tfr.verifiers.IBP(linf), 1e-4)`

    Reference: Xiao et al., 2019, arXiv 1809.03008, section 3.2.
    """

    reports = ("relu_stability",)

    def __init__(
        self, objective: Objective, verifier: Bounding, weight: Amount = 1e-4
    ):
        self._set(objective, verifier, weight)

    def _penalty(self, bounds):
        sums = [
            tf.reduce_sum(flat(tf.tanh(1 + lower * upper)), axis=1)
            for lower, upper in of_relus(bounds)
        ]
        return -tf.add_n(sums) if sums else 0.0
