"""Instance-adaptive adversarial training."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.backend import register
from tfrobust.instances.slot import Slot
from tfrobust.objectives.arguments import attack_of
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats import Threat
from tfrobust.threats.rows import column
from tfrobust.types import Model, TensorLike

_EPSILON = "epsilon"


@register
class IAT(Objective):
    """Adversarial training with a radius of its own for each instance.

    An instance that is right at its epsilon plus gamma moves its epsilon up,
    one that is right at its epsilon leaves it, any other moves it down, each
    by `beta * gamma` within `[low, high]`. Two attacks a step.

    Args:
        attack: An `Attack`, whose threat's epsilon is every instance's first
            one, or a `Threat` for `PGD`.
        high: Largest epsilon.
        low: Smallest epsilon.
        gamma: How far above its epsilon an instance is tried.
        beta: Share of the move that is made, in [0, 1].
        warmup: Visits of an instance before its epsilon moves.
        mixed: Whether what is misclassified at x is trained there.

    Raises:
        TypeError: If `attack` isn't an attack.
        ValueError: If a number is out of its range, or epsilon isn't one
            number in `[low, high]`.

    Example:
        `model.compile("sgd", objective=IAT(pgd, high=0.06))`

    Reference: Balaji et al., 2019, arXiv 1910.08051, algorithm 2.
    """

    reports = (_EPSILON,)

    of_classes = True

    def __init__(
        self,
        attack: Attack | Threat,
        high: float,
        low: float = 0.0,
        gamma: float = 0.00745,
        beta: float = 0.1,
        warmup: int = 5,
        mixed: bool = False,
    ):
        self.attack: Any = attack_of(attack, PGD)
        for name, value in {"low": low, "high": high, "gamma": gamma}.items():
            checks.number(value, name, 0)
        checks.number(beta, "beta", 0, 1)
        checks.count(warmup, "warmup", least=0)
        epsilon = self.attack.threat.epsilon
        fine = isinstance(epsilon, float) and low <= epsilon <= high
        expected = f"have one epsilon in [{low}, {high}]"
        checks.argument(fine, "attack", expected, self.attack)
        self.high, self.low, self.gamma, self.beta = high, low, gamma, beta
        self.warmup, self.mixed = warmup, mixed

    def _slots(self, shape, classes):
        return {_EPSILON: Slot((), self.attack.threat.epsilon)}

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        epsilon = self.rows[_EPSILON]
        point = self._within(epsilon).perturb(model, x, y)
        further = self._within(epsilon + self.gamma).perturb(model, x, y)
        up = tf.minimum(self.high, epsilon + self.gamma)
        down = tf.maximum(self.low, epsilon - self.gamma)
        stays = tf.where(_right(model, point, y), epsilon, down)
        aim = tf.where(_right(model, further, y), up, stays)
        moved = (1 - self.beta) * epsilon + self.beta * aim
        early = self.rows["visits"] < self.warmup
        moved = tf.where(early, epsilon, moved)
        if self.mixed:
            right = _right(model, x, y)
            point = tf.where(
                column(right, point), point, tf.cast(x, tf.float32)
            )
        return point, moved

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        point, moved = found
        worst = self.attack.logits(model, point, y, training=True)
        values = losses.per_example(self.loss, y, worst)
        own = self.rows[_EPSILON]
        return Outcome(
            values,
            None,
            self.by_name(worst),
            {_EPSILON: moved},
            {_EPSILON: own},
        )

    def _within(self, epsilon):
        threat = self.attack.threat._replace(epsilon=epsilon)
        return self.attack.against(threat)


def _right(model, point, y):
    """Whether points are classified correctly, shape `[batch]`."""
    return losses.margin(y, model(point, training=False)) < 0
