"""The boundary attack."""

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attacks.active import choose
from tfrobust.attacks.decision_attack import DecisionAttack
from tfrobust.backend import register
from tfrobust.threats import L2
from tfrobust.threats.rows import column, flat

# What share of the moves shall succeed, around x and then towards it.
_SHARES = 0.5, 0.25


@register
class BoundaryAttack(DecisionAttack):
    """A random walk along the boundary that only sees decisions.

    A step moves at random on the sphere around x, then towards x; what is
    misclassified and nearer is where the walk goes on. The lengths of both
    moves adapt themselves, so that half of the first and a quarter of the
    second succeed.

    `perturb` returns the nearest point where it lies in the threat, and x
    elsewhere; `nearest` ignores epsilon, and takes points to start from.

    Args:
        threat: An `L2` threat of finite range.
        queries: Number of times, at most, that the model is asked about each
            example besides x itself; at least 150. At most 100 of them look
            for a misclassified start; a step takes two.
        around: Length of the first moves around x, as a share of the
            distance from x, positive.
        towards: Length of the first moves towards x, likewise, below 1.
        seed: Integer that keys the noise and the moves.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If `threat` isn't an `L2` threat.
        ValueError: If an argument is out of its range.

    Example:
        `BoundaryAttack(tfr.threats.L2(0.5), queries=300).perturb(model, x, y)`

    Reference: Brendel et al., 2018, arXiv 1712.04248, algorithm 1.
    """

    def __init__(
        self,
        threat: L2,
        queries: int = 5000,
        around: float = 0.1,
        towards: float = 0.1,
        seed: int = 0,
    ):
        checks.kind(threat, L2, "threat", "tfr.threats.L2(0.5)")
        for name, value in {"around": around, "towards": towards}.items():
            checks.number(value, name, 0, 1)
            fine = 0 < value < 1
            checks.argument(fine, name, "lie in (0, 1)", value)
        self._keep(threat, queries, seed)
        self.around, self.towards = around, towards

    def _steps(self, left, features):
        return left // 2

    def _sizes(self, x):
        first = tf.constant([[self.around, self.towards]], tf.float32)
        return tf.tile(first, [tf.shape(x)[0], 1])

    def _step(self, model, number, now, sizes, x, y, seed):
        around, towards = (
            column(size, x) for size in tf.unstack(sizes, axis=1)
        )
        units = self._units(x)
        radius = column(self._length(x, now), x)
        out = tf.math.divide_no_nan(now - x, units * radius)
        drawn = tf.where(units > 0, streams.normal(x, seed), 0.0)
        drawn -= _product(drawn, out) * out
        length = tf.sqrt(_product(drawn, drawn))
        turned = out + around * tf.math.divide_no_nan(drawn, length)
        length = tf.sqrt(_product(turned, turned))
        turned = tf.math.divide_no_nan(turned, length)
        aside = self._valid(x, x + units * radius * turned)
        nearer = self._valid(x, aside + towards * (x - aside))
        success = tf.stack(
            [self._wrong(model, aside, y), self._wrong(model, nearer, y)], 1
        )
        closer = self._length(x, nearer) < self._length(x, now)
        now = choose(success[:, 1] & closer, nearer, now)
        # Of equal rates of success as wanted, neither length changes.
        excess = tf.cast(success, tf.float32) - _SHARES
        sizes = tf.minimum(sizes * tf.exp(0.2 * excess), 0.9)
        return now, sizes


def _product(one, other):
    """The inner product of each pair, shape `[batch, 1, ...]`."""
    return column(tf.reduce_sum(flat(one * other), axis=1), one)
