"""Schedules along straight lines, with a smooth beginning or without."""

from collections.abc import Sequence

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import Schedule, register
from tfrobust.configurable import Configurable
from tfrobust.schedules.segments import check_sorted, segment
from tfrobust.types import TensorLike


@register
class Ramp(Configurable, Schedule):
    """Linear from `initial` at step `begin` to `final` at step `end`.

    Constant before and after.

    Args:
        initial: Value up to `begin`.
        final: Value from `end` on.
        begin: First step of the ramp.
        end: Last step of the ramp, after `begin`.

    Example:
        `linf = Linf(tfr.schedules.Ramp(0.0, 8 / 255, end=1000))`
    """

    def __init__(
        self, initial: float, final: float, begin: int = 0, *, end: int
    ):
        check_sorted("begin, end", [begin, end])
        checks.finite(initial=initial, final=final)
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end

    def __call__(self, step: TensorLike) -> tf.Tensor:
        gap = self.final - self.initial
        _, r = segment([self.begin, self.end], step)
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

    Example:
        `linf = Linf(tfr.schedules.SmoothRamp(0.0, 8 / 255, end=1000))`
    """

    def __init__(
        self,
        initial: float,
        final: float,
        begin: int = 0,
        *,
        end: int,
        bend: float = 0.25,
        exponent: float = 4.0,
    ):
        check_sorted("begin, end", [begin, end])
        checks.finite(initial=initial, final=final)
        checks.argument(0 < bend < 1, "bend", "lie in (0, 1)", bend)
        checks.number(exponent, "exponent", low=1)
        self.initial, self.final = initial, final
        self.begin, self.end = begin, end
        self.bend, self.exponent = bend, exponent

    def __call__(self, step: TensorLike) -> tf.Tensor:
        _, r = segment([self.begin, self.end], step)
        # Value and slope meet at r = bend: top = bend * slope / exponent.
        slope = 1 / (self.bend / self.exponent + 1 - self.bend)
        curve = slope * self.bend / self.exponent
        curve *= (tf.minimum(r, self.bend) / self.bend) ** self.exponent
        rise = tf.where(r < self.bend, curve, 1 - slope * (1 - r))
        return self.initial + (self.final - self.initial) * rise


@register
class PiecewiseLinear(Configurable, Schedule):
    """Straight lines between knots, constant outside.

    Args:
        steps: Increasing steps of the knots, at least two.
        values: Values at the knots.

    Example:
        `tfr.schedules.PiecewiseLinear([0, 500, 1000], [0.0, 0.4, 0.0])(250)`
    """

    def __init__(self, steps: Sequence[int], values: Sequence[float]):
        check_sorted("steps", steps)
        received = f"{len(steps)} steps and {len(values)} values"
        fine = len(steps) == len(values)
        checks.argument(fine, "values", "be as many as `steps`", received)
        for value in values:
            checks.number(value, "values")
        self.steps, self.values = list(steps), list(values)

    def __call__(self, step: TensorLike) -> tf.Tensor:
        period, r = segment(self.steps, step)
        values = tf.constant(self.values, tf.float32)
        # In this form the value at a knot is exact.
        return (1 - r) * values[period] + r * values[period + 1]
