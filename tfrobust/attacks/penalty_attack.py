"""What attacks share that minimise a length and a penalty while they fail."""

import abc
import math

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import choose
from tfrobust.gradients import input_gradient
from tfrobust.types import Model, TensorLike


class PenaltyAttack(Attack):
    """Looks for the least move, by descent on it and on a penalty.

    What is minimised is a measure of the move, plus a constant times
    `max(z_y - max(z_j, j != y) + confidence, 0)`. The constant of each
    example is searched: grown tenfold until the attack succeeds, then halved
    between. A subclass descends, by `_descend`, and calls `_keep` with what
    all of them are configured by.

    Reference: Carlini and Wagner, 2017, arXiv 1608.04644, section VI.A.
    """

    def _keep(
        self, threat, steps, searches, constant, learning_rate, confidence
    ):
        """Checks the common arguments and keeps them as attributes."""
        checks.count(steps, "steps")
        checks.count(searches, "searches")
        for name, value in {
            "constant": constant,
            "learning_rate": learning_rate,
        }.items():
            checks.positive(value, name)
        checks.number(confidence, "confidence", 0)
        self.threat, self.steps, self.searches = threat, steps, searches
        self.constant, self.learning_rate = constant, learning_rate
        self.confidence = confidence

    @abc.abstractmethod
    def _descend(self, model, x, y, constant):
        """The success of least measure, and that; infinity where none is.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs, shape `[batch, ...]`, float32.
            y: Integer labels, shape `[batch]`.
            constant: Weights of the penalty, shape `[batch]`.
        """

    def nearest(
        self, model: Model, x: TensorLike, y: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks for the least moves that change the class.

        Returns:
            The nearest misclassified points, of x's shape, and their
            distances from x in the threat's norm, shape `[batch]`: 0 where x
            is misclassified itself; infinity, and x, where none was found.
        """
        x = self.threat.checked(x)
        point, found = self._search(model, x, y)
        distance = tf.where(found, self.threat.distance(x, point), math.inf)
        return tf.stop_gradient(point), tf.stop_gradient(distance)

    def _perturb(self, model, x, y, start, step):
        point, found = self._search(model, x, y)
        return choose(found & self.threat.contains(x, point), point, x)

    def _search(self, model, x, y):
        """The best success with any constant, and whether there is one."""
        # The gradient isn't used, but that none reaches x is reported here.
        _, logits, _ = input_gradient(
            model, x, lambda logits: losses.margin(y, logits)
        )
        y, logits = losses.class_labels(y, logits)
        ones = tf.ones_like(logits[:, 0])
        wrong = severity.lead(y, logits) > 0
        found = x, tf.where(wrong, 0.0, math.inf)

        def search(constant, lower, upper, point, measure):
            new, least = self._descend(model, x, y, constant)
            success = tf.math.is_finite(least)
            upper = tf.where(success, constant, upper)
            lower = tf.where(success, lower, constant)
            halved = tf.where(
                tf.math.is_finite(upper), (lower + upper) / 2, 10 * constant
            )
            less = least < measure
            point = tf.ensure_shape(choose(less, new, point), x.shape)
            return halved, lower, upper, point, tf.minimum(least, measure)

        *_, point, measure = tf.while_loop(
            lambda *_: True,
            search,
            (self.constant * ones, 0 * ones, math.inf * ones, *found),
            maximum_iterations=self.searches,
        )
        return point, tf.math.is_finite(measure)

    def _penalty(self, y, constant):
        """The penalty of logits, times the constant, as a function."""

        def penalty(logits):
            behind = self.confidence - losses.margin(y, logits)
            return tf.nn.relu(behind) * constant

        return penalty

    def _better(self, y, logits, measure, least):
        """Where a point succeeds by a smaller measure, shape `[batch]`."""
        wrong = severity.lead(y, logits) > 0
        if self.confidence:
            wrong &= losses.margin(y, logits) >= self.confidence
        return wrong & (measure < least)

    def _free(self):
        """1 where a feature may move, 0 elsewhere, against x."""
        mask = self.threat.mask
        return 1.0 if mask is None else tf.cast(mask > 0, tf.float32)
