"""Restarts of any attack."""

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.ensemble import mean_logits, tried
from tfrobust.backend import register
from tfrobust.threats import Threat


@register
class Restart(Attack):
    """Several runs of an attack with different random numbers.

    It runs on examples that no run before has fooled, and answers as
    `Ensemble` does. The first run is the attack's own, so the answer is never
    weaker. `PGD`, `APGD`, `FAB` and `Square` have restarts of their own, which
    do the same by their own losses at less cost; this is for any attack, an
    ensemble among them.

    Args:
        attack: The `Attack` to run; of no use if it draws no random numbers.
        restarts: Number of runs, at least 1.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If `restarts` is below 1.

    Example:
        `Restart(FGSM(threat, step_size=1.25, random_start=1.0), restarts=10)`
    """

    takes_start = True

    def __init__(self, attack: Attack, restarts: int):
        checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
        checks.count(restarts, "restarts")
        self.attack, self.restarts = attack, restarts

    @property
    def threat(self) -> Threat:
        """What the attack searches."""
        return self.attack.threat

    def _perturb(self, model, x, y, start, step):
        logits = mean_logits(model, x)
        y = checks.labels(y, logits)
        first = tf.cast(step, tf.int64)

        def run(number, *found, start=None):
            step = tf.where(number > 0, streams.fold(first, number), first)
            found = tried(self.attack, model, found, x, y, start, step)
            return number + 1, *found

        state = 0, x, severity.lead(y, logits)
        if start is not None:  # Only the first run's: others shall differ.
            state = run(*state, start=start)
        return tf.while_loop(
            lambda number, point, margin: tf.reduce_any(margin <= 0),
            run,
            state,
            maximum_iterations=self.restarts - (start is not None),
        )[1]
