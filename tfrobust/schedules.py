"""Schedules of epsilon, of mixing weights and of the learning rate.

Each is a Keras `LearningRateSchedule`: a function of the optimizer's step.
The periodic ones are those of Liu et al., 2020, arXiv 2006.08403.
"""

import abc
import itertools
import math
import warnings

import tensorflow as tf

from tfrobust import checks
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
        checks.finite(initial=initial, final=final)
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end

    def __call__(self, step):
        gap = self.final - self.initial
        _, r = _segment([self.begin, self.end], step)
        return self.initial + gap * r


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
        checks.finite(initial=initial, final=final)
        checks.argument(0 < bend < 1, "bend", "lie in (0, 1)", bend)
        checks.number(exponent, "exponent", low=1)
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end
        self.bend, self.exponent = bend, exponent

    def __call__(self, step):
        _, r = _segment([self.begin, self.end], step)
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
        received = f"{low} > {high}"
        checks.argument(low <= high, "low", "not exceed `high`", received)
        self.boundaries, self.low, self.high = list(boundaries), low, high

    @abc.abstractmethod
    def value(self, r):
        """The value at progress `r` in [0, 1]."""

    def __call__(self, step):
        _, r = _segment(self.boundaries, step)
        return tf.clip_by_value(self.value(r), self.low, self.high)


class _PeriodicRise(_Periodic):
    """Goes from `initial` to `final` in every period."""

    def __init__(
        self, initial, final, boundaries, low=-math.inf, high=math.inf
    ):
        super().__init__(boundaries, low, high)
        checks.finite(initial=initial, final=final)
        if max(initial, final) < high < math.inf:
            warnings.warn(
                f"The schedule peaks at {max(initial, final)} and never "
                f"reaches its target high={high}.",
                stacklevel=2,
            )
        self.initial, self.final = initial, final


@register
class PeriodicLinear(_PeriodicRise):
    """`initial + (final - initial) * r`, clipped to `[low, high]`.

    Args:
        initial: Value at the start of a period.
        final: Value at its end, before clipping.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip, the target; warns when it is never reached.
    """

    def value(self, r):
        return self.initial + (self.final - self.initial) * r


@register
class PeriodicCosine(_PeriodicRise):
    """`initial + (final - initial) * (1 - cos(pi r)) / 2`, clipped.

    With `initial > final` it is the cosine decay with restarts.

    Args:
        initial: Value at the start of a period.
        final: Value at its end, before clipping.
        boundaries: Increasing steps; two of them make one period.
        low: Lower clip.
        high: Upper clip, the target; warns when it is never reached.
    """

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
        checks.finite(initial=initial, power=power)
        checks.argument(power > 0, "power", "be positive", power)
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
        checks.finite(initial=initial, power=power)
        checks.argument(power > 0, "power", "be positive", power)
        for drop in drops:
            checks.number(drop, "drops", low=0, high=1)
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
        received = f"{len(steps)} steps and {len(values)} values"
        fine = len(steps) == len(values)
        checks.argument(fine, "values", "be as many as `steps`", received)
        for value in values:
            checks.number(value, "values")
        self.steps, self.values = list(steps), list(values)

    def __call__(self, step):
        period, r = _segment(self.steps, step)
        values = tf.constant(self.values, tf.float32)
        # In this form the value at a knot is exact.
        return (1 - r) * values[period] + r * values[period + 1]


def _segment(edges, step):
    """Which segment between `edges` the step is in, and how far it is."""
    edges = tf.constant(edges, tf.float32)
    step = tf.clip_by_value(tf.cast(step, tf.float32), edges[0], edges[-1])
    index = tf.searchsorted(edges, [step], side="right")[0] - 1
    index = tf.minimum(index, edges.shape[0] - 2)
    begin, end = edges[index], edges[index + 1]
    return index, (step - begin) / (end - begin)


def _check_sorted(name, steps):
    fine = len(steps) > 1 and math.isfinite(steps[-1] - steps[0])
    fine &= all(a < b for a, b in itertools.pairwise(steps))
    checks.argument(fine, name, "be at least two increasing steps", list(steps))
