"""What every threat shares."""

from typing import Any, TypeAlias, TypeVar

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.backend import Schedule
from tfrobust.configurable import Configurable
from tfrobust.threats import arguments
from tfrobust.threats.geometry import Geometry
from tfrobust.threats.rows import column, flat, spread
from tfrobust.types import TensorLike

Self = TypeVar("Self", bound="Threat")
Ends: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # The lower and the upper one.


class Threat(Configurable, Geometry):
    """The set of points that an input may be moved to.

    It is the ball of radius epsilon around x, intersected with the valid
    range `[low, high]`. A subclass answers for one norm, see `Geometry`; all
    else follows. Who uses a threat asks what it can do, never for its class.

    Args:
        epsilon: Radius in the units of x. A float, a schedule of the step,
            one radius for each example (shape `[batch]`), or one for each
            feature (the shape of one input with at least two axes, or any
            shape of x's rank that broadcasts): then the ball is the one of
            the norm of `(x' - x) / epsilon`.
        low: Smallest valid value of an input: a number, or an array of one
            for each feature, shape `[features]` or what broadcasts against x.
        high: Largest valid value of an input, likewise.
        mask: 1 where an input may be perturbed and 0 elsewhere, broadcast
            against x; None perturbs everything.

    Raises:
        ValueError: If epsilon is negative, infinite or NaN, or the range is
            empty.

    Example:
        `points = linf.scaled(0.5).sample(x, seed=0)`
    """

    per_example = ("epsilon", "mask")

    def __init__(
        self,
        epsilon: TensorLike | Schedule,
        low: Any = 0.0,
        high: Any = 1.0,
        mask: TensorLike | None = None,
    ):
        self.epsilon = arguments.epsilon(epsilon)
        self.low, self.high = arguments.ends(low, high)
        self.mask = None if mask is None else arguments.mask(mask)

    @property
    def name(self) -> str:
        """What it is called in reports, such as "linf"."""
        return type(self).__name__.lower()

    def scaled(self: Self, factor: float) -> Self:
        """Returns a threat of `factor` times the radius, in the same range."""
        return self._replace(epsilon=factor * self.epsilon)

    def distance(self, x: TensorLike, perturbed: TensorLike) -> tf.Tensor:
        """The norm of `perturbed - x` in the units of x, shape `[batch]`."""
        delta = tf.cast(flat(perturbed), tf.float64)
        delta -= tf.cast(flat(x), tf.float64)
        return tf.cast(self.norm(delta), tf.float32)

    def sample(self, x: tf.Tensor, seed: TensorLike = 0) -> tf.Tensor:
        """Draws a point for each row: uniform in the ball, then clipped."""
        point = x + self._draw(x, seed) * self._epsilon(x)
        return tf.clip_by_value(point, *self.box(x))

    def sphere(self, x: tf.Tensor, seed: TensorLike = 0) -> tf.Tensor:
        """Draws a point for each row: at norm epsilon, then clipped."""
        if self.is_box:
            direction = 2 * streams.uniform(x, seed) - 1
        else:
            direction = streams.normal(x, seed)
        length = self.distance(tf.zeros_like(x), direction)
        unit = tf.math.divide_no_nan(direction, column(length, x))
        return tf.clip_by_value(x + self.radii(x) * unit, *self.box(x))

    def ascend(
        self,
        x: tf.Tensor,
        perturbed: tf.Tensor,
        gradient: tf.Tensor,
        step_size: TensorLike,
    ) -> tf.Tensor:
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

    def project(
        self, x: tf.Tensor, perturbed: tf.Tensor, box: Ends | None = None
    ) -> tf.Tensor:
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

    def box(self, x: tf.Tensor) -> Ends:
        """Returns the smallest box around the set: lower and upper corner."""
        epsilon = self._epsilon(x)
        if self.mask is not None:
            epsilon = tf.where(self.mask > 0, epsilon, 0.0)
        lower = tf.maximum(x - epsilon, self.low)
        return lower, tf.minimum(x + epsilon, self.high)

    def radii(self, x: tf.Tensor) -> tf.Tensor:
        """How far each feature may move, were there no range; of x's shape."""
        boundless = self._replace(low=-np.inf, high=np.inf)
        return boundless.box(tf.zeros_like(x))[1]

    def leeway(self, x: tf.Tensor) -> Ends:
        """How far features may move down and up, were there no ball."""
        down = tf.minimum(self.low - x, 0.0)
        up = tf.maximum(self.high - x, 0.0)
        if self.mask is None:
            return down, up
        free = self.mask > 0
        return tf.where(free, down, 0.0), tf.where(free, up, 0.0)

    def support(self, x: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
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

    def room(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """How far each feature may move: down, up, and the ball's scale.

        The set is `down <= x' - x <= up` and `|(x' - x) / scale| <= 1`.
        """
        parts = self._room(x, x, self._epsilon(x))
        down, up, scale = (tf.reshape(part, tf.shape(x)) for part in parts)
        return down, up, scale

    def contains(
        self, x: tf.Tensor, perturbed: tf.Tensor, tolerance: float = 1e-5
    ) -> tf.Tensor:
        """Whether each point is in the set, up to rounding; shape `[batch]`."""
        # What rounds to the sum of x and its step may be off by this.
        rounding = 1.2e-7 * tf.maximum(tf.abs(x), tf.abs(perturbed))
        lower, upper = self.box(x)
        inside = (perturbed >= lower - rounding) & (perturbed >= self.low)
        inside &= (perturbed <= upper + rounding) & (perturbed <= self.high)
        excess = tf.maximum(tf.abs(perturbed - x) - rounding, 0.0)
        excess /= tf.maximum(self._epsilon(x), 1e-15)
        near = self.norm(flat(excess)) <= 1 + tolerance
        if self.features is not None:
            # Less is what clipping makes of inputs that rounding put outside.
            moved = flat(tf.abs(perturbed - x)) > 2e-6 * (self.high - self.low)
            near &= tf.math.count_nonzero(moved, axis=1) <= self.features
        return near & tf.reduce_all(flat(inside), axis=1)

    def checked(self, x: TensorLike) -> tf.Tensor:
        """Returns x as float32 once it is known to lie in the valid range."""
        return checks.inputs(x, self.low, self.high)

    def _epsilon(self, x):
        """The radius, broadcastable against x."""
        return arguments.against(x, self.epsilon, self.mask)

    def _room(self, x, centre, radius):
        """How far `centre` may move down and up, and the scale, as rows."""
        if self.mask is not None:
            radius = tf.where(self.mask > 0, radius, 0.0)
        lower = tf.clip_by_value(self.low - centre, -radius, 0.0)
        upper = tf.clip_by_value(self.high - centre, 0.0, radius)
        return flat(lower), flat(upper), spread(tf.maximum(radius, 1e-15), x)
