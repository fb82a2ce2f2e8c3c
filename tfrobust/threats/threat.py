"""What every threat shares."""

import abc

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import Schedule
from tfrobust.configurable import Configurable
from tfrobust.threats import arguments
from tfrobust.threats.rows import flat, spread


class Threat(Configurable, abc.ABC):
    """The set of points that an input may be moved to.

    It is the ball of radius epsilon around x, intersected with the valid
    range `[low, high]`. A subclass answers for one norm.

    Args:
        epsilon: Radius in the units of x. A float, a schedule of the step,
            one radius for each example (shape `[batch]`), or one for each
            feature (the shape of one input with at least two axes, or any
            shape of x's rank that broadcasts): then the ball is the one of
            the norm of `(x' - x) / epsilon`.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        mask: 1 where an input may be perturbed and 0 elsewhere, broadcast
            against x; None perturbs everything.

    Raises:
        ValueError: If epsilon is negative, infinite or NaN, or the range is
            empty.
    """

    order: float  # The p of the norm.
    per_example = ("epsilon", "mask")

    def __init__(self, epsilon, low=0.0, high=1.0, mask=None):
        arguments.check_range(low, high)
        self.epsilon, self.low, self.high = (
            arguments.epsilon(epsilon),
            low,
            high,
        )
        self.mask = None if mask is None else arguments.mask(mask)

    def sample(self, x, seed=0):
        """Draws a point for each row: uniform in the ball, then clipped."""
        point = x + self._draw(x, seed) * self._epsilon(x)
        return tf.clip_by_value(point, *self.box(x))

    def ascend(self, x, perturbed, gradient, step_size):
        """Takes the steepest step of norm `step_size` times epsilon.

        Clipped to the valid range, the step maximises its product with
        `gradient` among the steps that end there. It isn't clipped yet, and
        may leave the ball: `project` follows. Were a feature stopped at the
        edge of the range, the projection would pull it back inside.

        Args:
            x: Inputs, shape `[batch, ...]`.
            perturbed: Where to step from, of x's shape.
            gradient: Gradient of what is to grow, of x's shape.
            step_size: Length of the step as a fraction of epsilon.
        """
        radius = self._epsilon(x) * step_size
        return perturbed + self._steepest(x, perturbed, gradient, radius)

    def project(self, x, perturbed, box=None):
        """Returns the nearest point of the set in the Euclidean distance.

        Args:
            x: Inputs, shape `[batch, ...]`.
            perturbed: Points to project, of x's shape.
            box: What `box(x)` returned, for loops that know it already.
        """
        lower, upper = self.box(x) if box is None else box
        # One pass over the points; `tf.clip_by_value` takes two.
        return tf.raw_ops.ClipByValue(
            t=self._nearest(x, perturbed),
            clip_value_min=lower,
            clip_value_max=upper,
        )

    def box(self, x):
        """Returns the smallest box around the set: lower and upper corner."""
        epsilon = self._epsilon(x)
        if self.mask is not None:
            epsilon = tf.where(self.mask > 0, epsilon, 0.0)
        lower = tf.maximum(x - epsilon, self.low)
        return lower, tf.minimum(x + epsilon, self.high)

    def radii(self, x):
        """How far each feature may move, were there no range; of x's shape."""
        boundless = self._replace(low=-np.inf, high=np.inf)
        return boundless.box(tf.zeros_like(x))[1]

    def support(self, x, coefficients):
        """The maximum of `sum(coefficients * (x' - x))` over the set.

        Never below the true maximum but for rounding, and differentiable.

        Args:
            x: Inputs, shape `[batch, ...]`.
            coefficients: Shape of x, or `[batch, functions, ...]`, where a
                batch of 1 holds for every example.

        Returns:
            Shape `[batch]`, or `[batch, functions]`.
        """
        single = len(coefficients.shape) == len(x.shape)
        rows = tf.expand_dims(coefficients, 1) if single else coefficients
        if len(rows.shape) != 3:
            leading = rows.shape[:2]
            rows = tf.reshape(rows, tf.concat([tf.shape(rows)[:2], [-1]], 0))
            rows = tf.ensure_shape(rows, [*leading, None])
        room = (tf.expand_dims(flat(part), 1) for part in self.room(x))
        reach = self.reach(rows, *room)
        return reach[:, 0] if single else reach

    def room(self, x):
        """How far each feature may move: down, up, and the ball's scale.

        The set is `down <= x' - x <= up` and `|(x' - x) / scale| <= 1`.
        """
        parts = self._room(x, x, self._epsilon(x))
        return tuple(tf.reshape(part, tf.shape(x)) for part in parts)

    @abc.abstractmethod
    def reach(self, coefficients, down, up, scale):
        """The maximum of `sum(coefficients * d)` over the set of all d.

        Args:
            coefficients: Shape `[..., features]`.
            down: Lower bounds of d; like the next two as `room` returned it,
                in a shape that broadcasts.
            up: Upper bounds of d.
            scale: By what d is divided before its norm, at most 1, is taken.

        Returns:
            Shape `[...]`. Never below the true maximum but for rounding, and
            differentiable.
        """

    def norm(self, x, perturbed):
        """The norm of `perturbed - x` in the units of x, shape `[batch]`."""
        delta = tf.cast(flat(perturbed), tf.float64)
        delta -= tf.cast(flat(x), tf.float64)
        return tf.cast(tf.norm(delta, self.order, axis=1), tf.float32)

    def contains(self, x, perturbed, tolerance=1e-5):
        """Whether each point is in the set, up to rounding; shape `[batch]`."""
        # What rounds to the sum of x and its step may be off by this.
        rounding = 1.2e-7 * tf.maximum(tf.abs(x), tf.abs(perturbed))
        lower, upper = self.box(x)
        inside = (perturbed >= lower - rounding) & (perturbed >= self.low)
        inside &= (perturbed <= upper + rounding) & (perturbed <= self.high)
        excess = tf.maximum(tf.abs(perturbed - x) - rounding, 0.0)
        excess /= tf.maximum(self._epsilon(x), 1e-15)
        near = tf.norm(flat(excess), self.order, axis=1) <= 1 + tolerance
        return near & tf.reduce_all(flat(inside), axis=1)

    def checked(self, x):
        """Returns x as float32 once it is known to lie in the valid range."""
        return checks.inputs(x, self.low, self.high)

    @abc.abstractmethod
    def _draw(self, x, seed):
        """Draws uniformly from the unit ball, in the shape of x."""

    @abc.abstractmethod
    def _steepest(self, x, perturbed, gradient, radius):
        """The maximiser of <d, gradient> over |d / radius| <= 1, in range.

        What the range cuts short, this leaves long.
        """

    @abc.abstractmethod
    def _nearest(self, x, perturbed):
        """The nearest point whose clipping to `box` lies in the set."""

    def _epsilon(self, x):
        """The radius, broadcastable against x."""
        if isinstance(self.epsilon, Schedule):
            raise ValueError(
                "`epsilon` is a schedule, which has a value only at a step. "
                f"Received: {self!r}. Evaluate against one number, such as "
                "threat.replace(epsilon=0.3), or resolve it by .at(step)."
            )
        epsilon = tf.cast(self.epsilon, tf.float32)
        given, rank = epsilon.shape, len(x.shape)
        if given.rank == 1:
            epsilon = tf.reshape(epsilon, [-1] + [1] * (rank - 1))
        if given.rank not in (0, 1, rank - 1, rank) or not _broadcasts(
            epsilon.shape, x.shape
        ):
            raise ValueError(
                "`epsilon` must be a number, one number for each example, of "
                f"shape {x.shape[:1]}, or one for each feature, of shape "
                f"{[1, *x.shape[1:]]}. Received shape {given}."
            )
        if self.mask is not None and not _broadcasts(self.mask.shape, x.shape):
            raise ValueError(
                "`mask` must broadcast against x, of shape "
                f"{x.shape}. Received shape {tuple(self.mask.shape)}."
            )
        return epsilon

    def _room(self, x, centre, radius):
        """How far `centre` may move down and up, and the scale, as rows."""
        if self.mask is not None:
            radius = tf.where(self.mask > 0, radius, 0.0)
        lower = tf.clip_by_value(self.low - centre, -radius, 0.0)
        upper = tf.clip_by_value(self.high - centre, 0.0, radius)
        return flat(lower), flat(upper), spread(tf.maximum(radius, 1e-15), x)


def _broadcasts(shape, target):
    """Whether a value of `shape` broadcasts against x of shape `target`."""
    pairs = zip(reversed(list(shape)), reversed(list(target)), strict=False)
    return len(shape) <= len(target) and all(
        a in (1, None, b) or b is None for a, b in pairs
    )
