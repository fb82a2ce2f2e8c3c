"""The HopSkipJump attack."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attacks.active import choose
from tfrobust.attacks.decision_attack import DecisionAttack, bisections
from tfrobust.backend import register
from tfrobust.threats import Threat
from tfrobust.threats.rows import column, flat

# How often a step is halved, at most, until it ends misclassified.
_HALVINGS = 10


@register
class HopSkipJump(DecisionAttack):
    """Estimates the gradient at the boundary from decisions alone.

    A step draws directions around a point on the boundary, and adds up those
    that are misclassified minus those that aren't; it goes that way, by the
    distance from x over the root of the number of steps, halved until it ends
    misclassified; and returns to the boundary by bisection towards x.

    `perturb` returns the nearest point where it lies in the threat, and x
    elsewhere; `nearest` ignores epsilon, and takes points to start from.

    Args:
        threat: The set to search, a `Threat` of finite range. The paper's are
            `L2` and `Linf`; of another the steps and projections are its own.
        queries: Number of times, at most, that the model is asked about each
            example besides x itself; at least 150. At most 100 of them look
            for a misclassified start, and at most 10 for the size of a step.
        samples: Directions of the first step, at least 2; of step t it is
            the root of t times as many. 100 are for images: fewer features
            want fewer, and more steps.
        seed: Integer that keys the noise and the directions.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `HopSkipJump(tfr.threats.L2(0.5), queries=300).nearest(model, x, y)`

    Reference: Chen et al., 2020, arXiv 1904.02144, algorithm 2.
    """

    def __init__(
        self,
        threat: Threat,
        queries: int = 5000,
        samples: int = 100,
        seed: int = 0,
    ):
        checks.count(samples, "samples", 2)
        self._keep(threat, queries, seed)
        self.samples = samples

    def _steps(self, left, features):
        steps = 0
        while left >= 0:
            left -= self._count(steps) + _HALVINGS
            left -= bisections(self.threat, features)
            steps += left >= 0
        return steps

    def _count(self, number):
        """How many directions that step draws."""
        return int(self.samples * math.sqrt(number + 1))

    def _sizes(self, x):
        reach = 0.1 * float(np.max(self.threat.high - self.threat.low))
        return tf.fill([tf.shape(x)[0], 1], reach)

    def _step(self, model, number, now, sizes, x, y, seed):
        uphill = self._gradient(model, number, now, sizes, x, y, seed)
        ball = self._ball(x, self._length(x, now))
        share = tf.ones_like(sizes[:, 0])
        share *= tf.math.rsqrt(tf.cast(number + 1, tf.float32))

        def halve(share, ended, found):
            there = ball.ascend(x, now, uphill, column(share, x))
            there = self._valid(x, there)
            wrong = self._wrong(model, there, y)
            ended = choose(wrong & ~found, there, ended)
            return share / 2, ended, found | wrong

        _, ended, _ = tf.while_loop(
            lambda share, ended, found: ~tf.reduce_all(found),
            halve,
            (share, now, tf.zeros_like(share, tf.bool)),
            maximum_iterations=_HALVINGS,
        )
        sizes = self._length(x, ended)[:, tf.newaxis]
        sizes /= x.shape[1:].num_elements()
        return self._bisected(model, x, y, ended), sizes

    def _gradient(self, model, number, now, sizes, x, y, seed):
        """The direction in which more is misclassified, of x's shape."""
        units, size = self._units(x), column(sizes, x)
        counts = [self._count(k) for k in range(self._most(x))]
        count = tf.gather(counts, number)

        def draw(drawn, signed, moves, signs):
            move = self._direction(x, units, streams.fold(seed, drawn))
            there = self._valid(x, now + size * move)
            sign = tf.where(self._wrong(model, there, y), 1.0, -1.0)
            move = tf.math.divide_no_nan(there - now, size)
            return (
                drawn + 1,
                tf.ensure_shape(signed + column(sign, x) * move, x.shape),
                tf.ensure_shape(moves + move, x.shape),
                signs + sign,
            )

        zero = tf.zeros_like(now)
        _, signed, moves, signs = tf.while_loop(
            lambda drawn, *_: drawn < count,
            draw,
            (0, zero, zero, tf.zeros_like(sizes[:, 0])),
        )
        mean = signs / tf.cast(count, tf.float32)
        # Where all agree, the mean tells nothing apart.
        mean = tf.where(tf.abs(mean) < 1, mean, 0.0)
        return signed - column(mean, x) * moves

    def _most(self, x):
        """How many steps there are at most, at least 1."""
        return max(1, self._steps(self.queries, x.shape[1:].num_elements()))

    def _direction(self, x, units, seed):
        """A random direction for each example, of length 1 in the units."""
        if self.threat.is_box:
            drawn = 2 * streams.uniform(x, seed) - 1
        else:
            drawn = streams.normal(x, seed)
        drawn = tf.where(units > 0, drawn, 0.0)
        length = column(tf.norm(flat(drawn), axis=1), x)
        return units * tf.math.divide_no_nan(drawn, length)
