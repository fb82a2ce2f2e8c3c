"""The l2 attack of Carlini and Wagner."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.adam import Adam
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import choose
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.threats import L2
from tfrobust.types import Model, TensorLike

# So far from the ends of the range that the hyperbolic tangent has a slope.
_INSIDE = 1 - 1e-6


@register
class CarliniWagner(Attack):
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
        `CarliniWagner(tfr.threats.L2(0.5), steps=100).nearest(model, x, y)`

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
        checks.count(steps, "steps")
        checks.count(searches, "searches")
        for name, value in {
            "constant": constant,
            "learning_rate": learning_rate,
        }.items():
            checks.number(value, name, 0)
            checks.argument(value > 0, name, "be positive", value)
        checks.number(confidence, "confidence", 0)
        self.threat, self.steps, self.searches = threat, steps, searches
        self.constant, self.learning_rate = constant, learning_rate
        self.confidence = confidence

    def nearest(
        self, model: Model, x: TensorLike, y: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks for the least moves that change the class.

        Returns:
            The nearest misclassified points, of x's shape, and their l2
            distances from x, shape `[batch]`: 0 where x is misclassified
            itself; infinity, and x, where none was found.
        """
        point, distance = self._search(model, self.threat.checked(x), y)
        return tf.stop_gradient(point), tf.stop_gradient(distance)

    def _perturb(self, model, x, y, start, step):
        point, distance = self._search(model, x, y)
        inside = tf.math.is_finite(distance) & self.threat.contains(x, point)
        return choose(inside, point, x)

    def _search(self, model, x, y):
        # The gradient isn't used, but that none reaches x is reported here.
        _, logits, _ = input_gradient(
            model, x, lambda logits: losses.margin(y, logits)
        )
        y, logits = losses.class_labels(y, logits)
        ones = tf.ones_like(logits[:, 0])
        wrong = severity.lead(y, logits) > 0
        found = x, tf.where(wrong, 0.0, math.inf)

        def search(constant, lower, upper, point, distance):
            new, length = self._descend(model, x, y, constant)
            success = tf.math.is_finite(length)
            upper = tf.where(success, constant, upper)
            lower = tf.where(success, lower, constant)
            halved = tf.where(
                tf.math.is_finite(upper), (lower + upper) / 2, 10 * constant
            )
            closer = length < distance
            point = tf.ensure_shape(choose(closer, new, point), x.shape)
            return halved, lower, upper, point, tf.minimum(length, distance)

        return tf.while_loop(
            lambda *_: True,
            search,
            (self.constant * ones, 0 * ones, math.inf * ones, *found),
            maximum_iterations=self.searches,
        )[3:]

    def _descend(self, model, x, y, constant):
        """The nearest success with these constants, and how far it is."""
        middle = (self.threat.high + self.threat.low) / 2
        half = (self.threat.high - self.threat.low) / 2
        free = self.threat.mask
        free = 1.0 if free is None else tf.cast(free > 0, tf.float32)

        def placed(hidden):
            moved = middle + half * tf.tanh(hidden)
            return x + free * (moved - x)

        def penalty(logits):
            behind = self.confidence - losses.margin(y, logits)
            return tf.nn.relu(behind) * constant

        def step(hidden, adam, point, distance):
            now = placed(hidden)
            _, logits, gradient = input_gradient(model, now, penalty)
            away = self.threat.distance(x, now)
            wrong = severity.lead(y, logits) > 0
            if self.confidence:
                wrong &= losses.margin(y, logits) >= self.confidence
            closer = wrong & (away < distance)
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
