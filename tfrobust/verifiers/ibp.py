"""Interval bound propagation."""

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.verifiers.bounding import Bounding


@register
class IBP(Bounding):
    """Interval bound propagation: the cheapest bounds, and the loosest.

    Every value gets a lower and an upper bound from those of the values it is
    made of. The last linear layers are folded into the margins. The first ones
    are exact for every norm. Centres and radii are computed side by side: with
    few cores one thread for each op is faster (`TF_NUM_INTRAOP_THREADS=1`).

    Args:
        threat: The `Threat` to bound over.

    Example:
        `tfr.verifiers.IBP(tfr.threats.Linf(0.1))`

    Reference: Gowal et al., 2018, arXiv 1810.12715, section 3.
    """

    tighten = False

    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        return bounds.lower_from_intervals(specification)
