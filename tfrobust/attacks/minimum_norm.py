"""The least epsilon at which an attack succeeds."""

import tensorflow as tf

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import choose, on_active
from tfrobust.attacks.ensemble import mean_logits
from tfrobust.backend import register
from tfrobust.threats import Threat


@register
class MinimumNorm(Attack):
    """The nearest adversarial points of any attack, by bisection.

    Each example has an epsilon of its own. It starts at the threat's; if the
    attack succeeds there, its interval is halved again and again, and the
    distance of what is found cuts it short. Of a misclassified input the
    nearest point is x. Where the attack fails at the threat's epsilon, its
    point is the answer, which then isn't adversarial: read the logits.

    The distance is an upper bound on the least perturbation: an attack can
    miss what exists. `FAB` looks for the nearest point directly.

    Args:
        attack: The `Attack` to run, on a threat of one epsilon for all
            features.
        steps: Number of halvings, at least 1. The attack runs once more.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If the attack's threat has no epsilon.
        ValueError: If `steps` is below 1, or the threat has an epsilon for
            each feature.

    Example:
        `MinimumNorm(APGD(tfr.threats.L2(3.0)), steps=12)`
    """

    takes_start = True

    def __init__(self, attack: Attack, steps: int = 10):
        checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
        example = "tfr.threats.Linf(0.1)"
        checks.kind(attack.threat, Threat, "attack.threat", example)
        checks.count(steps, "steps")
        shape = getattr(attack.threat.epsilon, "shape", ())
        if len(shape) > 1:
            raise ValueError(
                "`attack` must search a threat of one epsilon, or one for each "
                f"example. Received: epsilon of shape {tuple(shape)}"
            )
        self.attack, self.steps = attack, steps

    @property
    def threat(self) -> Threat:
        """What the attack searches, at first."""
        return self.attack.threat

    def _perturb(self, model, x, y, start, step):
        logits = mean_logits(model, x)
        y = checks.labels(y, logits)
        lead = severity.lead(y, logits)
        epsilon = tf.cast(self.threat.epsilon, tf.float32)
        upper = tf.broadcast_to(epsilon, tf.shape(lead))

        def halve(number, *state):
            first = number == 0

            def run(state, attack, x, y, start):
                nearest, lower, upper, _ = state
                threat = attack.threat
                radius = tf.where(first, upper, (lower + upper) / 2)
                smaller = threat._replace(epsilon=radius)
                if start is not None:
                    start = smaller.project(x, start)
                inner = attack.against(smaller)
                point = inner._perturb(model, x, y, start, step)
                wrong = severity.lead(y, mean_logits(model, point)) > 0
                length = tf.minimum(threat.distance(x, point), radius)
                upper = tf.where(wrong, length, upper)
                lower = tf.where(wrong, lower, radius)
                # What an attack missed at a larger radius, it may yet find.
                lower = tf.where(lower > upper, 0.0, lower)
                nearest = choose(wrong | first, point, nearest)
                return nearest, lower, upper, wrong | (number > 0)

            return number + 1, *on_active(
                run, state[-1], state, self.attack, x, y, start
            )

        state = x, tf.zeros_like(upper), upper, lead <= 0
        return tf.while_loop(
            lambda *state: tf.reduce_any(state[-1]),
            halve,
            (0, *state),
            maximum_iterations=self.steps + 1,
        )[1]
