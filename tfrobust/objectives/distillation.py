"""Knowledge distillation at adversarial points."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import backend, checks, losses
from tfrobust.attack import Attack
from tfrobust.backend import keras, register
from tfrobust.objectives.arguments import check_adversary
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Model, TensorLike


@register
class Distillation(Objective):
    """Learns at adversarial points from the labels and from teachers.

    `w_0 * loss(y, f(x')) + sum_i w_i T^2 KL(softmax(t_i(x') / T) ||
    softmax(f(x') / T))`, x' the attack's points against the network f. With a
    teacher that was trained plainly and one that was trained robustly, and
    weights averaged late (`callbacks.SWA`), it is KD+SWA, a remedy for robust
    overfitting.

    Args:
        attack: Finds the points, an `Attack`.
        teachers: Models of logits of the same inputs and classes: a
            `RobustModel`, a Keras model or any callable
            `teacher(x, training=False) -> logits`. They aren't trained. Keras
            models have weights, which a configuration can't hold: a model
            compiled with them is saved by `save_weights` or
            `model.network.save`, and `save` refuses it.
        weights: That of the labels, then one for each teacher, not negative.
        temperature: T, positive; larger is smoother.

    Raises:
        TypeError: If `attack` isn't an attack, or a teacher a model.
        ValueError: If the attack is targeted, there are no teachers or another
            number of weights, a number is out of its range, or a teacher has
            other classes than the network.

    Example:
        objective = tfr.objectives.Distillation(
            tfr.attacks.PGD(linf), teachers=[standard, robust]
        )

    Reference: Chen et al., 2021, ICLR, "Robust overfitting may be mitigated
    by properly learned smoothening", equation 1; the temperature: Hinton et
    al., 2015, arXiv 1503.02531, section 2.
    """

    of_classes = True

    def __init__(
        self,
        attack: Attack,
        teachers: Sequence[Model],
        weights: Sequence[float] = (0.3, 0.1, 0.6),
        temperature: float = 2.0,
    ):
        check_adversary(attack, Attack, "attack")
        _check_teachers(teachers)
        _check_weights(weights, len(teachers))
        checks.positive(temperature, "temperature")
        self.attack, self.teachers = attack, list(teachers)
        self.weights, self.temperature = list(weights), temperature

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        point = self.attack.perturb(model, x, y)
        taught = [teacher(point, training=False) for teacher in self.teachers]
        taught = [tf.cast(logits, tf.float32) for logits in taught]
        return point, list(map(tf.stop_gradient, taught))

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        point, taught = found
        worst = self.attack.logits(model, point, y, training=True)
        t, (weight, *weights) = self.temperature, self.weights
        total = weight * losses.per_example(self.loss, y, worst)
        for share, logits in zip(weights, taught, strict=True):
            _check_classes(logits, worst)
            total += share * t**2 * losses.kl(logits / t, worst / t)
        return Outcome(total, worst=self.by_name(worst))


def _check_teachers(teachers):
    some = isinstance(teachers, list | tuple) and len(teachers) > 0
    expected = "be a list of models, at least one"
    checks.argument(some, "teachers", expected, teachers)
    for teacher in teachers:
        if isinstance(teacher, keras.Model) or backend.is_foreign_model(
            teacher
        ):
            backend.check_network(teacher)
        elif not callable(teacher):
            raise TypeError(
                "`teachers` must be models, or functions "
                "`teacher(x, training=False) -> logits`. "
                f"Received: {teacher!r}"
            )


def _check_weights(weights, count):
    fits = isinstance(weights, list | tuple) and len(weights) == count + 1
    checks.argument(
        fits,
        "weights",
        f"hold that of the labels and {count} of the teachers",
        weights,
    )
    for weight in weights:
        checks.number(weight, "weights", low=0)


def _check_classes(taught, logits):
    if not taught.shape.is_compatible_with(logits.shape):
        raise ValueError(
            "`teachers` must have the classes of the network, shape "
            f"{logits.shape}. Received logits of shape {taught.shape}."
        )
