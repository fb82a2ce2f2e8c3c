"""DeepFool."""

import tensorflow as tf

from tfrobust.attacks import boundary, severity
from tfrobust.attacks.active import choose
from tfrobust.attacks.fab import FAB
from tfrobust.backend import register
from tfrobust.threats import Threat


@register
class DeepFool(FAB):
    """Steps across linearised boundaries until the class changes.

    Each step moves from where the one before ended to the nearest of the
    boundaries, linearised there; all of it is then made a little longer. It
    finds some near point in a few steps, at the price of a gradient for each
    class; `FAB`, which goes on and stays close to x, finds nearer ones.

    `perturb` returns the point where it lies in the threat, and x elsewhere;
    `nearest` ignores epsilon.

    Args:
        threat: The set to search, a `Threat`, in whose norm steps are the
            shortest.
        steps: Largest number of steps, at least 1.
        overshoot: By what share the way is made longer, not negative.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If an argument is out of range or no gradient reaches x.

    Example:
        `points, distance = DeepFool(tfr.threats.L2(0.5)).nearest(model, x, y)`

    Reference: Moosavi-Dezfooli et al., 2016, arXiv 1511.04599, algorithm 2.
    """

    def __init__(
        self, threat: Threat, steps: int = 50, overshoot: float = 0.02
    ):
        super().__init__(threat, steps, alpha_max=0.0, overshoot=1 + overshoot)
        self.overshoot = overshoot

    def _run(self, model, x, y, target, point):
        """The first point that is misclassified, and its norm."""
        units = self._units(x)
        # The way is made longer as a whole, not step by step.
        exact = self._replace(overshoot=1.0)

        def beyond(point):
            there = x + (1 + self.overshoot) * (point - x)
            return tf.clip_by_value(there, self.threat.low, self.threat.high)

        def wrong(point):
            return severity.lead(y, self.logits(model, beyond(point), y)) > 0

        def step(point, done):
            value, gradient = boundary.nearest(
                self.threat, units, model, point, y
            )
            moved = exact._move(x, point, value, gradient, units)
            point = choose(done, point, moved)
            return tf.ensure_shape(point, x.shape), done | wrong(point)

        point, done = tf.while_loop(
            lambda point, done: ~tf.reduce_all(done),
            step,
            (point, wrong(point)),
            maximum_iterations=self.steps,
        )
        point = beyond(point)
        distance = self._length(x, point, units)
        return point, tf.where(done, distance, float("inf"))
