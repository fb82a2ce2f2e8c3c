"""What attacks share that see the model's decisions alone."""

import abc
import math

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attack import Attack
from tfrobust.attacks.active import choose, while_active
from tfrobust.threats import Threat
from tfrobust.threats.rows import column
from tfrobust.types import Model, TensorLike

# Draws of noise, at most, until one is misclassified.
TRIES = 100
# Whatever the number of features, a bisection and the draws take no more.
LEAST = 150


class DecisionAttack(Attack):
    """Walks along the decision boundary from a far misclassified point.

    Of the model it reads nothing but the predicted class. It begins at noise,
    uniform in the valid range, that is misclassified, goes straight to the
    boundary by bisection, and then steps, by a subclass's `_step`, to ever
    nearer points, as many as `queries` allows.
    """

    def _keep(self, threat, queries, seed):
        """Checks the common arguments and keeps them as attributes."""
        checks.kind(threat, Threat, "threat", "tfr.threats.L2(0.5)")
        finite = bool(np.all(np.isfinite(threat.high - threat.low)))
        checks.argument(finite, "threat", "have a finite range", threat)
        checks.count(queries, "queries", LEAST)
        self.threat, self.queries, self.seed = threat, queries, seed

    @abc.abstractmethod
    def _steps(self, left, features):
        """How many steps so many queries allow, an integer."""

    @abc.abstractmethod
    def _sizes(self, x):
        """What adapts itself, before the first step: `[batch, any]`."""

    @abc.abstractmethod
    def _step(self, model, number, now, sizes, x, y, seed):
        """Goes from a misclassified point to one, and adapts the sizes."""

    def nearest(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        start: TensorLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks for the nearest points that are misclassified.

        Epsilon is ignored, but for how it weighs features against each other.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[batch, ...]`.
            y: Integer labels, shape `[batch]`.
            start: Points of x's shape from which to start where they are
                misclassified, such as inputs of other classes. Elsewhere, and
                if None, noise.

        Returns:
            The nearest misclassified points, of x's shape, and their
            distances from x in the threat's norm, shape `[batch]`: 0 where x
            is misclassified itself; infinity, and x, where none was found.
        """
        x = self.threat.checked(x)
        if start is not None:
            start = self.threat.checked(start)

        def found(attack, x, point, distance):
            return distance == 0

        point, distance = self._search(model, x, y, start, found, self.step)
        return tf.stop_gradient(point), tf.stop_gradient(distance)

    def _perturb(self, model, x, y, start, step):
        def inside(attack, x, point, distance):
            reached = tf.math.is_finite(distance)
            return reached & attack.threat.contains(x, point)

        point, distance = self._search(model, x, y, None, inside, step)
        return choose(inside(self, x, point, distance), point, x)

    def _search(self, model, x, y, start, done, step):
        """The nearest points and their distances, or those that are done."""
        seed = streams.fold(self.seed, step)
        logits = self.logits(model, x, y)
        y = checks.labels(y, logits)
        features = x.shape[1:].num_elements()
        found = _misclassified(y, logits)
        far, found = self._begin(model, x, y, found, start, seed)
        now = self._bisected(model, x, y, far)
        distance = tf.where(found, self._length(x, now), math.inf)

        def walk(number, state, attack, x, y):
            (now, sizes, nearest, distance, _) = state
            key = streams.fold(seed, TRIES + number)
            now, sizes = attack._step(model, number, now, sizes, x, y, key)
            length = attack._length(x, now)
            nearest = choose(length < distance, now, nearest)
            distance = tf.minimum(length, distance)
            active = ~done(attack, x, nearest, distance)
            return now, sizes, nearest, distance, active

        active = found & ~done(self, x, now, distance)
        state = now, self._sizes(x), now, distance, active
        left = self.queries - TRIES - bisections(self.threat, features)
        *_, nearest, distance, _ = while_active(
            walk,
            lambda state: state[-1],
            self._steps(left, features),
            state,
            self,
            x,
            y,
        )
        return nearest, distance

    def _begin(self, model, x, y, found, start, seed):
        """Misclassified points, x where it is, and where there are any."""
        threat, free = self.threat, tf.cast(self._units(x) > 0, tf.float32)

        def draw(number, point, found):
            drawn = streams.uniform(x, streams.fold(seed, number))
            noise = threat.low + (threat.high - threat.low) * drawn
            if start is not None:
                noise = tf.where(number == 0, start, noise)
            noise = self._valid(x, x + free * (noise - x))
            point = choose(found, point, noise)
            return number + 1, point, found | self._wrong(model, noise, y)

        _, point, found = tf.while_loop(
            lambda number, point, found: ~tf.reduce_all(found),
            draw,
            (0, x, found),
            maximum_iterations=TRIES,
        )
        return choose(found, point, x), found

    def _bisected(self, model, x, y, point):
        """The points moved as near to x as they stay misclassified."""
        length = self._length(x, point)

        def halve(lower, upper, nearest):
            middle = (lower + upper) / 2
            nearer = self._ball(x, middle * length).project(x, point)
            nearer = self._valid(x, nearer)
            wrong = self._wrong(model, nearer, y)
            lower = tf.where(wrong, lower, middle)
            upper = tf.where(wrong, middle, upper)
            return lower, upper, choose(wrong, nearer, nearest)

        features = x.shape[1:].num_elements()
        return tf.while_loop(
            lambda *_: True,
            halve,
            (tf.zeros_like(length), tf.ones_like(length), point),
            maximum_iterations=bisections(self.threat, features),
        )[2]

    def _wrong(self, model, point, y):
        """The decisions: whether points are misclassified, `[batch]`."""
        return _misclassified(y, self.logits(model, point, y))

    def _valid(self, x, point):
        """Points clipped to the range, known to be of x's shape."""
        point = tf.clip_by_value(point, self.threat.low, self.threat.high)
        return tf.ensure_shape(point, x.shape)

    def _weighed(self):
        """Whether epsilon is one for each feature."""
        return len(getattr(self.threat.epsilon, "shape", ())) > 1

    def _ball(self, x, radius):
        """The threat with a radius for each example, in its own units."""
        if self._weighed():
            radius = column(radius, x) * self.threat.epsilon
        return self.threat._replace(epsilon=radius)

    def _units(self, x):
        """What moves are measured in, 0 where there are none, of x's shape."""
        return self._ball(x, tf.ones(tf.shape(x)[:1])).radii(x)

    def _length(self, x, point):
        """The distance from x, in these units, shape `[batch]`."""
        if not self._weighed():
            return self.threat.distance(x, point)
        moves = tf.math.divide_no_nan(point - x, self.threat.radii(x))
        return self.threat.distance(tf.zeros_like(x), moves)


def _misclassified(y, logits):
    """Whether the class is another, or the logits are no numbers."""
    fine = tf.reduce_all(tf.math.is_finite(logits), axis=1)
    predicted = tf.argmax(logits, axis=1, output_type=y.dtype)
    return tf.not_equal(predicted, y) | ~fine


def bisections(threat: Threat, features: int) -> int:
    """How many halvings come as near to the boundary as is of use.

    Reference: Chen et al., 2020, arXiv 1904.02144, section IV.B: a share of
    `features ** -1.5` of the way under l2, of `features ** -2` under linf.
    """
    power = 2.0 if threat.is_box else 1.5
    return max(10, math.ceil(power * math.log2(features)))
