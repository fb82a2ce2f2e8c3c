"""The worst rotation and translation."""

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import on_active, worse
from tfrobust.attacks.patch_attack import drawn
from tfrobust.backend import register
from tfrobust.threats import Spatial


@register
class SpatialAttack(Attack):
    """Tries transformations, and keeps the one of largest margin loss.

    Tried is the whole grid of the threat, which decides the question, or some
    of it at random (worst of k). Gradients are of little use here.

    Args:
        threat: A `Spatial`.
        tries: How many transformations are tried, drawn for each example;
            None for all.
        early_stop: Whether an example is finished at the first that is
            misclassified: the same accuracy in less time.
        seed: Integer that keys the draws.

    Call arguments:
        x: Images in `[threat.low, threat.high]`, float32, of shape
            `[batch, height, width, channels]`.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If `threat` isn't a `Spatial`.
        ValueError: If `tries` is below 1.

    Example:
        `SpatialAttack(Spatial(30.0, 1.0), tries=10).perturb(model, x, y)`

    Reference: Engstrom et al., 2019, arXiv 1712.02779, section 3.
    """

    def __init__(
        self,
        threat: Spatial,
        tries: int | None = None,
        early_stop: bool = False,
        seed: int = 0,
    ):
        checks.kind(threat, Spatial, "threat", "tfr.threats.Spatial(30.0, 3.0)")
        if tries is not None:
            checks.count(tries, "tries")
        self.threat, self.tries = threat, tries
        self.early_stop, self.seed = early_stop, seed

    def _perturb(self, model, x, y, start, step):
        logits = self.logits(model, x, y)
        y = checks.labels(y, logits)
        seed = streams.fold(self.seed, step)
        members = drawn(tf.constant(self.threat.members), self.tries, x, seed)

        def left(lead):
            return lead <= 0 if self.early_stop else tf.ones_like(lead, tf.bool)

        def turn(number, *found):
            def run(found, attack, x, y, member):
                point = attack.threat.turned(x, member)
                lead = severity.lead(y, self.logits(model, point, y))
                return worse((point, lead), found)

            inputs = self, x, y, members[:, number]
            active = left(found[1]) if self.early_stop else None
            point, lead = on_active(run, active, found, *inputs)
            return number + 1, tf.ensure_shape(point, x.shape), lead

        return tf.while_loop(
            lambda number, point, lead: tf.reduce_any(left(lead)),
            turn,
            (0, x, severity.lead(y, logits)),
            maximum_iterations=members.shape[1],
        )[1]
