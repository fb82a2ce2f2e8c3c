"""The l2 attack of Carlini and Wagner."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.adam import Adam
from tfrobust.attacks.active import choose
from tfrobust.attacks.penalty_attack import PenaltyAttack
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.threats import L2

# So far from the ends of the range that the hyperbolic tangent has a slope.
_INSIDE = 1 - 1e-6


@register
class CarliniWagner(PenaltyAttack):
    """Minimises the squared length of a move, and a penalty while it fails.

    `|x' - x|^2 + c * max(z_y - max(z_j, j != y) + confidence, 0)`, by Adam over
    the inverse hyperbolic tangent of x', scaled to the valid range, so that no
    step leaves it. The constant c of each example is searched: grown tenfold
    until the attack succeeds, then halved between. The nearest success of all
    steps is kept.

    `perturb` returns it where it lies in the threat, and x elsewhere;
    `nearest` ignores epsilon. It takes far more gradients than `FAB`.

    Args:
        threat: An `L2` threat of finite range.
        steps: Steps of Adam for each constant, at least 1.
        searches: How many constants are tried, at least 1.
        constant: The first constant, positive.
        learning_rate: Of Adam, positive.
        confidence: By how much the wrong class is to lead, not negative.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If `threat` isn't an `L2` threat.
        ValueError: If an argument is out of range or no gradient reaches x.

    Example:
        `CarliniWagner(L2(0.5), steps=50, searches=9).nearest(model, x, y)`

    Reference: Carlini and Wagner, 2017, arXiv 1608.04644, section VI.A.
    """

    def __init__(
        self,
        threat: L2,
        steps: int = 1000,
        searches: int = 9,
        constant: float = 1e-3,
        learning_rate: float = 0.01,
        confidence: float = 0.0,
    ):
        checks.kind(threat, L2, "threat", "tfr.threats.L2(0.5)")
        finite = bool(np.all(np.isfinite(threat.high - threat.low)))
        checks.argument(finite, "threat", "have a finite range", threat)
        self._keep(threat, steps, searches, constant, learning_rate, confidence)

    def _descend(self, model, x, y, constant):
        middle = (self.threat.high + self.threat.low) / 2
        half = (self.threat.high - self.threat.low) / 2
        free, penalty = self._free(), self._penalty(y, constant)

        def step(hidden, adam, point, distance):
            now = x + free * (middle + half * tf.tanh(hidden) - x)
            _, logits, gradient = input_gradient(model, now, penalty)
            away = self.threat.distance(x, now)
            closer = self._better(y, logits, away, distance)
            point = choose(closer, now, point)
            distance = tf.where(closer, away, distance)
            slope = half * (1 - tf.tanh(hidden) ** 2)
            uphill = (gradient + 2 * (now - x)) * slope * free
            move, adam = adam.step(uphill)
            hidden -= self.learning_rate * move
            return tf.ensure_shape(hidden, x.shape), adam, point, distance

        scaled = _INSIDE * (x - middle) / half
        hidden = tf.math.atanh(scaled)
        nowhere = tf.fill(tf.shape(constant), math.inf)
        state = hidden, Adam.begin(hidden), x, nowhere
        return tf.while_loop(
            lambda *_: True, step, state, maximum_iterations=self.steps
        )[2:]
