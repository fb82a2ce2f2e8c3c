"""Interval bound propagation."""

from tfrobust.backend import register
from tfrobust.bounds.bounds import Bounds
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

    def _margins(self, trace, x, functions):
        bounds = Bounds(trace, self.threat, x, tighten=False)
        return bounds.lower_from_intervals(functions)
