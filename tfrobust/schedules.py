"""Schedules of epsilon, of mixing weights and of the learning rate.

Each is a Keras `LearningRateSchedule`: a function of the optimizer's step.
The periodic ones are those of Liu et al., 2020, arXiv 2006.08403.
"""

import abc
import itertools
import math
import warnings

import tensorflow as tf

from tfrobust.backend import Schedule, register
from tfrobust.configurable import Configurable


@register
class Ramp(Configurable, Schedule):
    """Linear from `initial` at step `begin` to `final` at step `end`.

    Constant before and after.

    Args:
        initial: Value up to `begin`.
        final: Value from `end` on.
        begin: First step of the ramp.
        end: Last step of the ramp, after `begin`.
    """

    def __init__(self, initial, final, begin=0, *, end):
        _check_sorted("begin, end", [begin, end])
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end

    def __call__(self, step):
        gap = self.final - self.initial
        return self.initial + gap * _progress(step, self.begin, self.end)


@register
class SmoothRamp(Configurable, Schedule):
    """A ramp whose slope is continuous: a power curve, then a line.

    The first `bend` of the way follows `r ** exponent` and joins the line to
    `final` with equal value and slope, so that early growth is gentle.

    Args:
        initial: Value up to `begin`.
        final: Value from `end` on.
        begin: First step of the ramp.
        end: Last step of the ramp, after `begin`.
        bend: Fraction in (0, 1) of the ramp that is curved.
        exponent: Power of the curve, at least 1.
    """

    def __init__(
        self, initial, final, begin=0, *, end, bend=0.25, exponent=4.0
    ):
        _check_sorted("begin, end", [begin, end])
        if not 0 < bend < 1:
            raise ValueError(f"`bend` must lie in (0, 1). Received: {bend}")
        if exponent < 1:
            raise ValueError(
                f"`exponent` must be at least 1. Received: {exponent}"
            )
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end
        self.bend, self.exponent = bend, exponent

    def __call__(self, step):
        r = _progress(step, self.begin, self.end)
        # Value and slope meet at r = bend: top = bend * slope / exponent.
        slope = 1 / (self.bend / self.exponent + 1 - self.bend)
        curve = slope * self.bend / self.exponent
        curve *= (tf.minimum(r, self.bend) / self.bend) ** self.exponent
        rise = tf.where(r < self.bend, curve, 1 - slope * (1 - r))
        return self.initial + (self.final - self.initial) * rise


class _Periodic(Configurable, Schedule, abc.ABC):
    """Repeats `value(r)` in every period, clipped to `[low, high]`.

    Within the period [t_l, t_r) the progress is r = (t - t_l) / (t_r - t_l).
    Before the first boundary r is 0; a boundary between two periods belongs
    to the later one (r = 0); from the last boundary on, r is 1.
    """

    def __init__(self, boundaries, low, high):
        _check_sorted("boundaries", boundaries)
        if low > high:
            raise ValueError(
                f"`low` must not exceed `high`. Received: {low} > {high}"
            )
        self.boundaries, self.low, self.high = list(boundaries), low, high

    @abc.abstractmethod
    def value(self, r):
        """The value at progress `r` in [0, 1]."""

    def __call__(self, step):
        edges = tf.constant(self.boundaries, tf.float32)
        step = tf.clip_by_value(
            tf.cast(step, tf.float32), edges[0], edges[-1]
        )
        period = tf.searchsorted(edges, [step], side="right")[0] - 1
        period = tf.minimum(period, len(self.boundaries) - 2)
        begin, end = tf.gather(edges, period), tf.gather(edges, period + 1)
        value = self.value((step - begin) / (end - begin))
        return tf.clip_by_value(value, self.low, self.high)


@register
class PeriodicLinear(_Periodic):
    """`initial + (final - initial) * r`, clipped to `[low, high]`.

    Args:
        initial: Value at the start of a period.
        final: Value at its end, before clipping.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip, the target; warns when it is never reached.
    """

    def __init__(
        self, initial, final, boundaries, low=-math.inf, high=math.inf
    ):
        super().__init__(boundaries, low, high)
        _warn_unreached(max(initial, final), high)
        self.initial, self.final = initial, final

    def value(self, r):
        return self.initial + (self.final - self.initial) * r


@register
class PeriodicCosine(_Periodic):
    """`initial + (final - initial) * (1 - cos(pi r)) / 2`, clipped.

    With `initial > final` it is the cosine decay with restarts.

    Args:
        initial: Value at the start of a period.
        final: Value at its end, before clipping.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip, the target; warns when it is never reached.
    """

    def __init__(
        self, initial, final, boundaries, low=-math.inf, high=math.inf
    ):
        super().__init__(boundaries, low, high)
        _warn_unreached(max(initial, final), high)
        self.initial, self.final = initial, final

    def value(self, r):
        rise = (1 - tf.cos(math.pi * r)) / 2
        return self.initial + (self.final - self.initial) * rise


@register
class PeriodicExponential(_Periodic):
    """`initial * power ** r`, clipped to `[low, high]`.

    Args:
        initial: Value at the start of a period.
        power: Factor over a whole period, positive.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip.
    """

    def __init__(
        self, initial, power, boundaries, low=-math.inf, high=math.inf
    ):
        super().__init__(boundaries, low, high)
        if power <= 0:
            raise ValueError(f"`power` must be positive. Received: {power}")
        self.initial, self.power = initial, power

    def value(self, r):
        return self.initial * tf.pow(tf.cast(self.power, tf.float32), r)


@register
class PeriodicDrops(_Periodic):
    """`initial * power ** (number of drop points <= r)`.

    Args:
        initial: Value at the start of a period.
        power: Factor of each drop, such as 0.1.
        drops: Points of the period's progress in [0, 1] where it drops.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip.
    """

    def __init__(
        self, initial, power, drops, boundaries, low=-math.inf, high=math.inf
    ):
        super().__init__(boundaries, low, high)
        if not all(0 <= drop <= 1 for drop in drops):
            raise ValueError(f"`drops` must lie in [0, 1]. Received: {drops}")
        self.initial, self.power, self.drops = initial, power, list(drops)

    def value(self, r):
        passed = tf.cast(tf.constant(self.drops, tf.float32) <= r, tf.float32)
        power = tf.cast(self.power, tf.float32)
        return self.initial * tf.pow(power, tf.reduce_sum(passed))


@register
class PiecewiseLinear(Configurable, Schedule):
    """Straight lines between knots, constant outside.

    Args:
        steps: Increasing steps of the knots, at least two.
        values: Values at the knots.
    """

    def __init__(self, steps, values):
        _check_sorted("steps", steps)
        if len(steps) != len(values):
            raise ValueError(
                "`steps` and `values` must be equally long. "
                f"Received: {len(steps)} steps and {len(values)} values."
            )
        self.steps, self.values = list(steps), list(values)

    def __call__(self, step):
        value = tf.cast(self.values[0], tf.float32)
        knots = itertools.pairwise(zip(self.steps, self.values, strict=True))
        for (begin, initial), (end, final) in knots:
            value += (final - initial) * _progress(step, begin, end)
        return value


def _progress(step, begin, end):
    step = tf.cast(step, tf.float32)
    return tf.clip_by_value((step - begin) / (end - begin), 0.0, 1.0)


def _check_sorted(name, steps):
    if len(steps) < 2 or any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(
            f"`{name}` must be at least two increasing steps. "
            f"Received: {list(steps)}"
        )


def _warn_unreached(highest, target):
    if math.isfinite(target) and highest < target:
        warnings.warn(
            f"The schedule peaks at {highest} and never reaches its target "
            f"high={target}.",
            stacklevel=3,
        )
