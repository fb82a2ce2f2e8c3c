"""The fast adaptive boundary attack."""

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import boundary, severity
from tfrobust.attacks.active import choose, while_active
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.threats import Threat, hyperplane
from tfrobust.threats.rows import column, flat, spread
from tfrobust.types import Model, TensorLike


@register
class FAB(Attack):
    """Fast adaptive boundary attack: looks for the nearest misclassification.

    A step linearises the boundary of the decision at the current point and
    moves to where it would lie, with a bias towards x; behind the boundary
    it moves back in the direction of x. The norm is the threat's.

    Of a misclassified input the nearest point is x. `perturb` returns the
    nearest point where it lies in the threat, and x elsewhere; `nearest`
    ignores epsilon. Points lie so close to the boundary that another order
    of summation may classify them right again: read the logits, not the norm.

    Args:
        threat: The set to search, a `Threat`. If it has an epsilon for each
            feature, moves are measured in these.
        steps: Number of linearisations in a run, at least 1.
        restarts: Number of runs, of which the nearest point is kept. The
            first starts at x, the others at random, at most half as far from
            x as the nearest point so far.
        targets: 0 moves to the nearest of the boundaries to all classes, at
            the price of a gradient for each class. A number makes as many
            runs, each towards one of the most likely wrong classes, at the
            price of one gradient a step (FAB-T).
        alpha_max: Largest bias towards x, in [0, 1].
        overshoot: Length of a move as a multiple of that to the boundary, at
            least 1.
        backward: Share that is left of the way from x after moving back
            behind the boundary, in (0, 1).
        seed: Integer that keys the random starts.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If an argument is out of range or no gradient reaches x.

    Example:
        `tfr.attacks.FAB(tfr.threats.L2(0.5), targets=9)`

    Reference: Croce and Hein, 2020, arXiv 1907.02044, algorithm 1; with
    targets: Croce and Hein, 2020, arXiv 2003.01690, section 4.
    """

    def __init__(
        self,
        threat: Threat,
        steps: int = 100,
        restarts: int = 1,
        targets: int = 0,
        alpha_max: float = 0.1,
        overshoot: float = 1.05,
        backward: float = 0.9,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        checks.count(steps, "steps")
        checks.count(restarts, "restarts")
        checks.count(targets, "targets", least=0)
        checks.number(alpha_max, "alpha_max", 0, 1)
        checks.number(overshoot, "overshoot", 1)
        checks.argument(0 < backward < 1, "backward", "lie in (0, 1)", backward)
        self.threat = threat
        self.steps, self.restarts, self.targets = steps, restarts, targets
        self.alpha_max, self.overshoot = alpha_max, overshoot
        self.backward, self.seed = backward, seed

    def nearest(
        self, model: Model, x: TensorLike, y: TensorLike
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks for the least perturbations that change the class.

        Epsilon only tells how far from x the restarts begin.

        Returns:
            The nearest misclassified points, of x's shape, and their
            distances from x in the threat's norm, shape `[batch]`: 0 where x
            is misclassified itself; infinity, and x, where none was found.
        """
        x = self.threat.checked(x)

        def misclassified(threat, x, point, distance):
            return distance == 0

        point, distance = self._search(model, x, y, misclassified, self.step)
        return tf.stop_gradient(point), tf.stop_gradient(distance)

    def _perturb(self, model, x, y, start, step):
        def inside(threat, x, point, distance):
            # x, the answer where nothing is found, is in the threat too.
            return tf.math.is_finite(distance) & threat.contains(x, point)

        point, distance = self._search(model, x, y, inside, step)
        return choose(inside(self.threat, x, point, distance), point, x)

    def _search(self, model, x, y, done, step):
        """Makes all runs, each on the examples that aren't done."""
        # The gradient isn't used, but that none reaches x is reported here.
        _, logits, _ = input_gradient(
            model, x, lambda logits: losses.margin(y, logits)
        )
        y, logits = losses.class_labels(y, logits)
        targets = boundary.wrong_classes(y, logits, max(self.targets, 1))
        count = targets.shape[1]
        seed = streams.fold(self.seed, step)

        def run(number, state, threat, x, y, targets):
            (nearest, distance, _), start = state, x
            attack = self._replace(threat=threat)
            if self.restarts > 1:
                drawn = attack._drawn(x, distance, streams.fold(seed, number))
                start = tf.where(number < count, x, drawn)
            target = targets[:, number % count]
            point, length = attack._run(model, x, y, target, start)
            nearest = choose(length < distance, point, nearest)
            distance = tf.minimum(length, distance)
            return nearest, distance, ~done(threat, x, nearest, distance)

        lead = severity.lead(y, logits)
        distance = tf.where(lead > 0, 0.0, float("inf"))
        nearest, distance, _ = while_active(
            run,
            lambda state: state[2],
            self.restarts * count,
            (x, distance, ~done(self.threat, x, x, distance)),
            self.threat,
            x,
            y,
            targets,
        )
        return nearest, distance

    def _drawn(self, x, distance, seed):
        """Draws a point at most half as far from x as the nearest so far."""
        move = self.threat.sample(x, seed) - x
        length = self._length(x, x + move, self._units(x))
        share = tf.minimum(tf.math.divide_no_nan(distance, length), 1.0) / 2
        return x + column(share, x) * move

    def _run(self, model, x, y, target, point):
        """Returns the nearest misclassified point of one run, and its norm."""
        units = self._units(x)

        def lead(point):
            return severity.lead(y, self.logits(model, point, y))

        def linearised(point):
            if self.targets:
                return boundary.towards(target, model, point, y)
            return boundary.nearest(self.threat, units, model, point, y)

        def step(point, nearest, distance):
            value, gradient = linearised(point)
            point = self._move(x, point, value, gradient, units)
            wrong, length = lead(point) > 0, self._length(x, point, units)
            closer = wrong & (length < distance)
            nearest = choose(closer, point, nearest)
            distance = tf.where(closer, length, distance)
            back = x + self.backward * (point - x)
            return choose(wrong, back, point), nearest, distance

        _, nearest, _ = tf.while_loop(
            lambda *_: True,
            step,
            (point, x, tf.fill(tf.shape(x)[:1], float("inf"))),
            maximum_iterations=self.steps,
        )
        point, wrong = boundary.sharpened(x, nearest, lead)
        distance = self._length(x, point, units)
        return point, tf.where(wrong, distance, float("inf"))

    def _units(self, x):
        """What a feature's moves are measured in, 0 if it has none, as rows."""
        if len(getattr(self.threat.epsilon, "shape", ())) > 1:
            return flat(self.threat.radii(x))
        mask = self.threat.mask
        return spread(tf.cast(True if mask is None else mask > 0, x.dtype), x)

    def _length(self, x, point, units):
        moves = tf.math.divide_no_nan(flat(point - x), units)
        return self.threat.distance(tf.zeros_like(moves), moves)

    def _move(self, x, point, lead, gradient, units):
        """Moves across the linearised boundary, with a bias towards x."""
        threat, gradient = self.threat, gradient * units
        delta = tf.math.divide_no_nan(flat(point - x), units)
        there = tf.reduce_sum(gradient * delta, axis=1, keepdims=True) - lead
        # The projections of the point and of x are found together.
        down, up = (
            tf.concat([flat(end) for end in ends], axis=0)
            for ends in zip(threat.leeway(point), threat.leeway(x), strict=True)
        )
        both = tf.tile(units, [2, 1])
        moves = hyperplane.shortest_move(
            threat,
            tf.tile(gradient, [2, 1]),
            tf.concat([-lead, there], axis=0),
            tf.math.divide_no_nan(down, both),
            tf.math.divide_no_nan(up, both),
        )
        lengths = threat.norm(moves)[:, tf.newaxis]
        (here, there), (near, far) = tf.split(moves, 2), tf.split(lengths, 2)
        alpha = tf.math.divide_no_nan(near, near + far)
        alpha = tf.minimum(alpha, self.alpha_max)
        # Written in moves from x: a feature that isn't moved stays exactly.
        moved = (1 - alpha) * (delta + self.overshoot * here)
        moved += alpha * self.overshoot * there
        # Where the lead is no number, nothing tells where to go.
        fine = tf.reduce_all(tf.math.is_finite(moved), axis=1, keepdims=True)
        moved = tf.where(fine, moved, delta)
        point = x + tf.reshape(moved * units, tf.shape(x))
        point = tf.clip_by_value(point, threat.low, threat.high)
        return tf.ensure_shape(point, x.shape)
