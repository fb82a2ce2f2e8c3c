"""Attacks in turn."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import named
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import choose, on_active
from tfrobust.backend import register
from tfrobust.threats import Threat
from tfrobust.types import Model, TensorLike


@register
class Ensemble(Attack):
    """Several attacks in turn, each on what none before it has fooled.

    An example is finished at the first point that is misclassified, be it x
    itself. Where there is none, the answer is the point of largest margin
    loss among x and what the attacks answered.

    Args:
        attacks: Dictionary of name to `Attack`, in the order of the runs; or
            a list, named after the classes: `"pgd"`, `"pgd-2"` ... All search
            the same threat.
        averages: Number of forward passes whose mean logits tell whether a
            point is misclassified. More than 1 is for models that are random
            themselves.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If there is no attack, what is given isn't one, or their
            threats differ.

    Example:
        `Ensemble([PGD(threat, loss="margin"), Square(threat, 1000)])`
    """

    takes_start = True

    def __init__(
        self,
        attacks: dict[str, Attack] | Sequence[Attack],
        averages: int = 1,
    ):
        self.attacks: dict[str, Any] = named(attacks)
        if not self.attacks:
            raise ValueError("`attacks` must hold at least one attack.")
        for name, attack in self.attacks.items():
            if not isinstance(attack, Attack):
                raise ValueError(
                    "`attacks` must hold attacks, such as "
                    '{"pgd": tfr.attacks.PGD(threat)}. '
                    f"Received: {name!r}: {attack!r}"
                )
        checks.count(averages, "averages")
        self.averages = averages
        for name, attack in self.attacks.items():
            if not _same(attack.threat, self.threat):
                raise ValueError(
                    "`attacks` must all search one threat. Received: "
                    f"{self.threat!r}, and for {name!r} {attack.threat!r}"
                )

    @property
    def threat(self) -> Threat:
        """What all attacks search."""
        return next(iter(self.attacks.values())).threat

    def components(self, classes: int) -> dict[str, Attack]:
        """Returns the attacks by name, for a model of so many classes."""
        return self.attacks

    def notes(self, classes: int) -> list[str]:
        """Returns sentences on what `components` changed or left out."""
        return []

    def _perturb(self, model, x, y, start, step):
        logits = mean_logits(model, x, self.averages)
        y = checks.labels(y, logits)
        found = x, severity.lead(y, logits)
        for attack in self.attacks.values():
            found = tried(
                attack, model, found, x, y, start, step, self.averages
            )
        return found[0]


def tried(
    attack: Attack,
    model: Model,
    found: tuple[tf.Tensor, tf.Tensor],
    x: tf.Tensor,
    y: tf.Tensor,
    start: tf.Tensor | None,
    step: TensorLike,
    averages: int = 1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs an attack on the examples that are still classified right.

    Args:
        attack: An `Attack`.
        model: Any callable `model(x, training=False) -> logits`.
        found: The worst points so far, of x's shape, and their margin losses,
            shape `[batch]`.
        x: Inputs, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.
        start: Where the attack starts, of x's shape, or None.
        step: Scalar integer that keys the random numbers.
        averages: Number of forward passes whose mean logits judge a point.

    Returns:
        What is found now, as `found`.
    """

    def run(found, attack, x, y, start):
        point = attack._perturb(model, x, y, start, step)
        margin = severity.lead(y, mean_logits(model, point, averages))
        return choose(margin > found[1], (point, margin), found)

    return on_active(run, found[1] <= 0, found, attack, x, y, start)


def mean_logits(model: Model, x: tf.Tensor, count: int = 1) -> tf.Tensor:
    """The mean logits of several forward passes, float32."""

    def logits():
        return tf.cast(model(x, training=False), tf.float32)

    total = logits()
    if count > 1:
        (total,) = tf.while_loop(
            lambda _: True,
            lambda total: (total + logits(),),
            (total,),
            maximum_iterations=count - 1,
        )
    return total / count


def _same(threat, other):
    return threat is other or (
        type(threat) is type(other)
        and threat.get_config() == other.get_config()
    )
