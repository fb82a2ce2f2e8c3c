"""Fast-EG-l1."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attacks.one_step import OneStep
from tfrobust.backend import register
from tfrobust.threats import L1
from tfrobust.threats.rows import column, flat


@register
class FastEGL1(OneStep):
    """One step along the Euclidean gradient within a larger l1 ball.

    `project(sample + sqrt((high - low) * epsilon) * g / ||g||_2)`: every point
    of the l1 ball within the range is as near as that in l2, and unlike the
    steepest l1 step it moves all features, which prevents catastrophic
    overfitting. It is made for training: its points leave the ball, by up to
    `radius` epsilon, so it is refused where robustness is evaluated. One
    forward and one backward pass.

    Args:
        threat: An `L1` of a finite range.
        radius: Of the ball to train in, in units of epsilon.
        init_radius: Of the ball that the search starts in; None for `radius`,
            which the paper states. Its code starts in 1.
        loss: What to ascend, as in `PGD`.
        seed: Integer that keys the start.

    Raises:
        TypeError: If `threat` isn't an `L1`.
        ValueError: If its range is infinite, or a radius isn't positive.

    Example:
        `tfr.objectives.WorstCase(tfr.attacks.FastEGL1(tfr.threats.L1(12.0)))`

    Reference: Jiang, Liu et al., 2023, Towards stable and efficient
    adversarial training against l1 bounded adversarial attacks, ICML,
    algorithm 2.
    """

    def __init__(
        self,
        threat: L1,
        radius: float = 2.0,
        init_radius: float | None = None,
        loss: str | Callable[..., Any] = "cross_entropy",
        seed: int = 0,
    ):
        checks.kind(threat, L1, "threat", "tfr.threats.L1(12.0)")
        for name, value in {
            "radius": radius,
            "init_radius": init_radius,
        }.items():
            if value is not None:
                checks.positive(value, name)
        wide = threat.high - threat.low
        finite = bool(np.all(wide < math.inf))
        expected = "have a finite range, which bounds the step"
        checks.argument(finite, "threat", expected, threat)
        losses.get(loss)
        self.threat, self.radius, self.init_radius = threat, radius, init_radius
        self.loss, self.seed = loss, seed

    @property
    def reach(self) -> float:
        return self.radius

    def _begin(self, x, step):
        radius = self.radius if self.init_radius is None else self.init_radius
        seed = streams.fold(self.seed, step)
        point = self.threat.scaled(radius).sample(x, seed)
        return self.threat.scaled(self.radius).project(x, point)

    def _moved(self, x, begin, gradient):
        threat = self.threat
        length = tf.sqrt((threat.high - threat.low) * threat.radii(x))
        # What a mask holds takes no part in the norm either.
        gradient = tf.where(length > 0, gradient, 0.0)
        norm = column(tf.norm(flat(gradient), axis=1), x)
        unit = tf.math.divide_no_nan(gradient, norm)
        moved = begin + length * unit
        return threat.scaled(self.radius).project(x, moved)
