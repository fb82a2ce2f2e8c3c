"""Schedules that repeat: those of Liu et al., 2020, arXiv 2006.08403."""

import abc
import math
import warnings
from collections.abc import Sequence

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import Schedule, register
from tfrobust.configurable import Configurable
from tfrobust.schedules.segments import check_sorted, segment
from tfrobust.types import TensorLike


class _Periodic(Configurable, Schedule, abc.ABC):
    """Repeats `value(r)` in every period, clipped to `[low, high]`.

    Within the period [t_l, t_r) the progress is r = (t - t_l) / (t_r - t_l).
    Before the first boundary r is 0; a boundary between two periods belongs
    to the later one (r = 0); from the last boundary on, r is 1.
    """

    def __init__(self, boundaries: Sequence[int], low: float, high: float):
        check_sorted("boundaries", boundaries)
        received = f"{low} > {high}"
        checks.argument(low <= high, "low", "not exceed `high`", received)
        self.boundaries, self.low, self.high = list(boundaries), low, high

    @abc.abstractmethod
    def value(self, r: tf.Tensor) -> tf.Tensor:
        """The value at progress `r` in [0, 1]."""

    def __call__(self, step: TensorLike) -> tf.Tensor:
        _, r = segment(self.boundaries, step)
        return tf.clip_by_value(self.value(r), self.low, self.high)


class _PeriodicRise(_Periodic):
    """Goes from `initial` to `final` in every period."""

    def __init__(
        self,
        initial: float,
        final: float,
        boundaries: Sequence[int],
        low: float = -math.inf,
        high: float = math.inf,
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

    Example:
        `Linf(tfr.schedules.PeriodicLinear(0.0, 0.3, [0, 500, 1000]))`
    """

    def value(self, r: tf.Tensor) -> tf.Tensor:
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

    Example:
        `Linf(tfr.schedules.PeriodicCosine(0.0, 0.3, [0, 500, 1000]))`
    """

    def value(self, r: tf.Tensor) -> tf.Tensor:
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

    Example:
        ```
        rate = tfr.schedules.PeriodicExponential(0.1, 0.01, [0, 500, 1000])
        print(rate(250), rate(750))
        ```
    """

    def __init__(
        self,
        initial: float,
        power: float,
        boundaries: Sequence[int],
        low: float = -math.inf,
        high: float = math.inf,
    ):
        super().__init__(boundaries, low, high)
        checks.number(initial, "initial")
        checks.positive(power, "power")
        self.initial, self.power = initial, power

    def value(self, r: tf.Tensor) -> tf.Tensor:
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

    Example:
        ```
        rate = tfr.schedules.PeriodicDrops(0.1, 0.1, [0.5], [0, 500, 1000])
        print(rate(100), rate(300), rate(600))
        ```
    """

    def __init__(
        self,
        initial: float,
        power: float,
        drops: Sequence[float],
        boundaries: Sequence[int],
        low: float = -math.inf,
        high: float = math.inf,
    ):
        super().__init__(boundaries, low, high)
        checks.number(initial, "initial")
        checks.positive(power, "power")
        for drop in drops:
            checks.number(drop, "drops", low=0, high=1)
        self.initial, self.power, self.drops = initial, power, list(drops)

    def value(self, r: tf.Tensor) -> tf.Tensor:
        passed = tf.cast(tf.constant(self.drops, tf.float32) <= r, tf.float32)
        power = tf.cast(self.power, tf.float32)
        return self.initial * tf.pow(power, tf.reduce_sum(passed))
