"""The elastic-net attack."""

import math

import tensorflow as tf

from tfrobust import checks
from tfrobust.attacks.active import choose
from tfrobust.attacks.penalty_attack import PenaltyAttack
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.threats import L1
from tfrobust.threats.rows import flat


@register
class EAD(PenaltyAttack):
    """Elastic-net attack: moves of few features, of least l1 length.

    `|d|^2 + c * max(z_y - max(z_j, j != y) + confidence, 0)` of the move d, by
    gradient steps, each of which ends by moving every feature back to x by
    `beta` (shrinkage-thresholding), so that what hardly counts doesn't move
    at all. The constant c of each example is searched as by `CarliniWagner`.
    Of all successes the best by the rule is kept.

    `perturb` returns it where it lies in the threat, and x elsewhere;
    `nearest` ignores epsilon.

    Args:
        threat: An `L1` threat.
        steps: Gradient steps for each constant, at least 1.
        searches: How many constants are tried, at least 1.
        constant: The first constant, positive.
        beta: By what each step shrinks a move, in the units of x, not
            negative: the larger, the fewer features move.
        learning_rate: Size of the first step, positive; it falls to 0 with
            the root of the steps that are left.
        confidence: By how much the wrong class is to lead, not negative.
        rule: What the kept success has the least of: `"l1"`, the l1 length,
            or `"en"`, the elastic net `beta * |d|_1 + |d|^2`.
        accelerated: Whether steps start ahead of the iterate (FISTA), rather
            than at it (ISTA).

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If `threat` isn't an `L1` threat.
        ValueError: If an argument is out of range or no gradient reaches x.

    Example:
        `EAD(tfr.threats.L1(6.0), steps=50, searches=9).nearest(model, x, y)`

    Reference: Chen et al., 2018, arXiv 1709.04114, equations 5 to 7 and
    algorithm 1.
    """

    def __init__(
        self,
        threat: L1,
        steps: int = 1000,
        searches: int = 9,
        constant: float = 1e-3,
        beta: float = 1e-3,
        learning_rate: float = 0.01,
        confidence: float = 0.0,
        rule: str = "l1",
        accelerated: bool = True,
    ):
        checks.kind(threat, L1, "threat", "tfr.threats.L1(6.0)")
        checks.number(beta, "beta", 0)
        known = rule in ("l1", "en")
        checks.argument(known, "rule", 'be "l1" or "en"', rule)
        self._keep(threat, steps, searches, constant, learning_rate, confidence)
        self.beta, self.rule, self.accelerated = beta, rule, accelerated

    def _descend(self, model, x, y, constant):
        free, penalty = self._free(), self._penalty(y, constant)

        def step(number, ahead, now, point, least):
            _, _, gradient = input_gradient(model, ahead, penalty)
            left = 1 - tf.cast(number, tf.float32) / self.steps
            rate = self.learning_rate * tf.sqrt(left)
            uphill = free * (gradient + 2 * (ahead - x))
            new = self._shrunk(x, ahead - rate * uphill)
            measure = self._measure(x, new)
            logits = self.logits(model, new, y)
            better = self._better(y, logits, measure, least)
            point = choose(better, new, point)
            least = tf.where(better, measure, least)
            ahead = new
            if self.accelerated:
                share = tf.cast(number / (number + 3), tf.float32)
                ahead = self._clipped(new + share * (new - now))
            state = ahead, new, point, least
            return number + 1, *(
                tf.ensure_shape(value, old)
                for value, old in zip(state, shapes, strict=True)
            )

        nowhere = tf.fill(tf.shape(constant), math.inf)
        shapes = x.shape, x.shape, x.shape, nowhere.shape
        return tf.while_loop(
            lambda *_: True,
            step,
            (0, x, x, x, nowhere),
            maximum_iterations=self.steps,
        )[3:]

    def _shrunk(self, x, moved):
        """Moves every feature back to x by beta, and into the range."""
        move = moved - x
        move = tf.sign(move) * tf.nn.relu(tf.abs(move) - self.beta)
        # What doesn't move is x to the bit.
        return self._clipped(x + move)

    def _clipped(self, point):
        return tf.clip_by_value(point, self.threat.low, self.threat.high)

    def _measure(self, x, point):
        length = self.threat.distance(x, point)
        if self.rule == "l1":
            return length
        return self.beta * length + tf.reduce_sum(flat(point - x) ** 2, axis=1)
