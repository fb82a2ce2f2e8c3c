"""Intervals in front, attacks behind."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.backend import register
from tfrobust.objectives import latent
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.sabr import SABR
from tfrobust.threats import Threat
from tfrobust.types import Amount


@register
class TAPS(SABR):
    """Training via adversarial propagation through subnetworks.

    Intervals bound what the activation number `split` may return, and an attack
    searches that box for a point of each class, at which the class leads the
    most. With the loss T of these leads and the loss I of intervals through the
    whole network, that of an example is `T * I`: T is too small, I too large.
    The gradient of T reaches the network in front through those ends of the box
    that a point is near. Until step `begin`, the end of a ramp of epsilon, the
    loss is I alone.

    With `share` below 1 it starts from the small box of `SABR` (STAPS). What it
    bounds proves nothing of the threat, so it serves training alone.

    Args:
        attack: An `Attack` on a threat that is a box, `Linf` or `Box`, which
            finds where the small box lies; or that threat, for PGD of 8 steps.
        split: Which activation, from 1 on, a `MinMax` being one; all of the
            network must pass through it. Behind the last one, unless it is a
            `MinMax`, points and intervals say the same.
        share: See `SABR`. At the number 1 nothing is attacked in front.
        weight: Factor of T's gradient, not negative, or a schedule of it.
        mix: See `SABR`.
        shrink: See `SABR`.
        steps: Steps of the attack on the box.
        step_size: Length of each, as a fraction of half of the box's sides.
        begin: Optimizer step from which the box is attacked.
        seed: Integer that keys where these attacks start.

    Raises:
        TypeError: If `attack` is none.
        ValueError: If its threat is no box, or a number is out of its range; in
            training, if `split` names no such activation, with those that fit.

    Example:
        `TAPS(linf, split=1, begin=2000)`

    Reference: Mao et al., 2023, arXiv 2305.04574, section 3.
    """

    def __init__(
        self,
        attack: Attack | Threat,
        split: int,
        share: Amount = 1.0,
        weight: Amount = 1.0,
        mix: Amount = 1.0,
        shrink: float = 1.0,
        steps: int = 8,
        step_size: float = 0.25,
        begin: int = 0,
        seed: int = 0,
    ):
        found = attack_of(attack, lambda threat: PGD(threat, steps=8))
        super().__init__(found, share, mix, shrink)
        checks.count(split, "split")
        checks.amount(weight, "weight", low=0)
        checks.count(steps, "steps")
        checks.number(step_size, "step_size", 0)
        checks.count(begin, "begin", least=0)
        self.split, self.weight = split, weight
        self.steps, self.step_size = steps, step_size
        self.begin, self.seed = begin, seed

    def adversaries(self) -> dict:
        """`"taps"`: what is logged under it are intervals of the box."""
        return {"taps": self.attack}

    def _bounded(self, verifier, model, centre, y):
        y = tf.reshape(tf.cast(y, tf.int32), [-1])

        def use(bounds, specification):
            margins = verifier.lower(bounds, specification)
            bounded = tf.where(losses.true_class(y, margins), 0.0, -margins)
            loose = losses.per_example(self.loss, y, bounded)
            rest = latent.Rest(bounds.trace, self.split)

            def product():
                return loose * self._tight(rest, bounds, y)

            if not self.begin:
                return bounded, product()
            begun = tf.cast(self.step, tf.int64) >= self.begin
            return bounded, tf.cond(begun, product, lambda: loose)

        return verifier.traced(model, centre, y, use)

    def _tight(self, rest, bounds, y):
        """The losses at points of the box, whose gradient is weighted."""
        box: Any = bounds.intervals[rest.begin]
        share = streams.uniform(box[0], streams.fold(self.seed, self.step))
        point = latent.ascend(rest, box, y, share, self.steps, self.step_size)
        linked = latent.linked(point, box)
        leads = latent.leads(rest(linked), y, rest.classes)
        values = losses.per_example(self.loss, y, leads)
        fixed = tf.stop_gradient(values)
        return fixed + self.weight * (values - fixed)
