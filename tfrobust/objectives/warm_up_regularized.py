"""Bounds that are kept tight and balanced while epsilon grows."""

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.objectives.bound_regularized import BoundRegularized, of_relus
from tfrobust.objectives.objective import Objective
from tfrobust.types import Amount
from tfrobust.verifiers.bounding import Bounding

_TOLERANCE = 0.5


@register
class WarmUpRegularized(BoundRegularized):
    """Keeps intervals from exploding, and ReLUs on and off in balance.

    Adds `weight * (1 - epsilon / target)` times the mean over the ReLUs of

    - `relu(t - mean(r0) / mean(r)) / t`: r is the half width of what a ReLU
      reads, r0 that of the input;
    - `(relu(t - m) + relu(t - v)) / t`: m compares the sums of the centres of
      ReLUs that are on and off for all of the threat, v their variances, each
      as the smaller share of the larger one; left out where one has none;

    with t = 0.5. It fades as epsilon reaches its target, and logs `warm_up`.

    Args:
        objective: The `Objective`, commonly `WorstCase` of the same verifier.
        verifier: An `IBP`, on a threat whose epsilon is scheduled.
        target: The epsilon at which the regularizers are gone.
        weight: Their weight at epsilon 0, or a schedule of it.

    Raises:
        TypeError: If `objective` or `verifier` is none.
        ValueError: If `target` isn't positive, or `weight` is negative.

    Example:
        ```
        ramp = tfr.schedules.SmoothRamp(0.0, 0.2, end=9000)
        verifier = tfr.verifiers.IBP(tfr.threats.Linf(ramp))
        objective = WarmUpRegularized(WorstCase(verifier), verifier, 0.2)
        ```

    Reference: Shi et al., 2021, arXiv 2103.16744, section 3.3.
    """

    reports = ("warm_up",)

    def __init__(
        self,
        objective: Objective,
        verifier: Bounding,
        target: float,
        weight: Amount = 0.5,
    ):
        self._set(objective, verifier, weight)
        checks.positive(target, "target")
        self.target = target

    def _bounding(self):
        # At epsilon 0 all widths are those of rounding.
        threat, least = self.verifier.threat, 1e-3 * self.target
        widened = threat._replace(epsilon=tf.maximum(threat.epsilon, least))
        return self.verifier.against(widened)

    def _penalty(self, bounds):
        epsilon = tf.reduce_max(
            tf.cast(self.verifier.threat.epsilon, tf.float32)
        )
        relus = of_relus(bounds)
        if not relus:
            return 0.0
        lower, upper = bounds.intervals[bounds.trace.input]
        width = tf.reduce_mean(upper - lower)
        terms = [_tightness(width, *r) + _balance(*r) for r in relus]
        left = tf.nn.relu(1 - epsilon / self.target)
        return left * tf.add_n(terms) / len(relus)


def _tightness(width, lower, upper):
    share = tf.math.divide_no_nan(width, tf.reduce_mean(upper - lower))
    return tf.nn.relu(_TOLERANCE - share) / _TOLERANCE


def _balance(lower, upper):
    centre = (lower + upper) / 2
    on, off = lower > 0, upper < 0
    parts = [
        _compared(
            tf.reduce_sum(tf.where(on, centre, 0.0)),
            -tf.reduce_sum(tf.where(off, centre, 0.0)),
        ),
        _compared(_scatter(centre, on), _scatter(centre, off)),
    ]
    return tf.add_n([tf.nn.relu(_TOLERANCE - p) for p in parts]) / _TOLERANCE


def _scatter(centre, chosen):
    """The sum of squared distances from the mean of all centres."""
    square = (centre - tf.reduce_mean(centre)) ** 2
    return tf.reduce_sum(tf.where(chosen, square, 0.0))


def _compared(one, other):
    """The smaller share of the larger one; the tolerance where one is 0."""
    both = (one > 0) & (other > 0)
    safe = [tf.where(both, part, 1.0) for part in (one, other)]
    share = tf.minimum(safe[0] / safe[1], safe[1] / safe[0])
    return tf.where(both, share, _TOLERANCE)
