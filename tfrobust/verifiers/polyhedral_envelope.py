"""Polyhedral envelope certificates."""

import math

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.activation import PARALLEL
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.propagation import backward
from tfrobust.threats import Threat
from tfrobust.threats.rows import flat
from tfrobust.types import Model, TensorLike
from tfrobust.verifiers.bounding import Bounding
from tfrobust.verifiers.hyperplane_distance import hyperplane_distance


@register
class PolyhedralEnvelope(Bounding):
    """How far around x no other class can win, also where epsilon is too far.

    The linear lower bounds of the margins over the threat are hyperplanes.
    They enclose a polyhedron around x in which, as far as the threat reaches,
    the label stays. Its smallest distance from x is certified even where the
    margins at epsilon are not.

    Distances are measured in the threat's norm and the units of x, over moves
    that stay in the valid range and within the mask.

    Args:
        threat: The `Threat` to bound over, of one epsilon for all features.
        tighten: Whether to bound what every activation reads by a backward
            pass, as `CROWN` does, or by interval arithmetic, as `CROWNIBP`.
        parallel: Whether both lines around a ReLU have one slope, as in
            `FastLin` and the paper.

    Raises:
        ValueError: If the threat has an epsilon for each feature.

    Example:
        `tfr.verifiers.PolyhedralEnvelope(threat).radius(model, x, y)`

    Reference: Liu et al., 2021, arXiv 1912.04792.
    """

    def __init__(
        self, threat: Threat, tighten: bool = True, parallel: bool = False
    ) -> None:
        super().__init__(threat)
        shape = getattr(threat.epsilon, "shape", ())
        if len(shape) > 1:
            raise ValueError(
                "`threat` must have one epsilon, or one for each example, for "
                "distances to have a unit. Received: epsilon of shape "
                f"{tuple(shape)}. Use CROWN for one for each feature."
            )
        self.tighten, self.parallel = tighten, parallel

    @property
    def rules(self) -> dict | None:
        return PARALLEL if self.parallel else None

    def distances(
        self, model: Model, x: TensorLike, y: TensorLike
    ) -> tf.Tensor:
        """Distances from x to the hyperplanes, shape `[batch, classes]`.

        Infinity where the range doesn't reach the hyperplane, and at y. Of a
        hyperplane that x isn't in front of, minus the distance without the
        range. At least epsilon where intervals rule the class out. Rounded
        down, and differentiable.
        """
        distances = self.traced(model, x, y, self._distances)
        y = tf.reshape(tf.cast(y, tf.int32), [-1])
        true = tf.one_hot(y, distances.shape[-1], True, False, dtype=tf.bool)
        return tf.where(true, math.inf, distances)

    def radius(self, model: Model, x: TensorLike, y: TensorLike) -> tf.Tensor:
        """The radius in which the label is certain, at most epsilon.

        Shape `[batch]`; 0 where the label isn't certain at x itself, be it
        that the model gives another one.
        """
        distances = self.distances(model, x, y)
        epsilon = tf.cast(self.threat.epsilon, tf.float32)
        radius = tf.minimum(tf.reduce_min(distances, axis=-1), epsilon)
        # Written so that NaN, which compares false, certifies nothing.
        certain = tf.reduce_all(distances > 0, axis=-1)
        return tf.where(certain, radius, 0.0)

    def lower(self, bounds: Bounds, specification: Dense) -> tf.Tensor:
        return bounds.lower(specification)

    def _distances(self, bounds, specification):
        """Distances to where the lower bounds of the specification are 0."""
        trace, x = bounds.trace, bounds.x
        normal, _ = backward(trace, {trace.output: specification}, bounds.lines)
        normal = normal.dense(trace.input.shape).tensor
        # At x they are higher than over the threat by what they fall there.
        # What rounding may have added is already taken off.
        offset = bounds.lower(specification) + self.threat.support(x, -normal)
        shape = tf.shape(normal)
        normal = tf.reshape(normal, [shape[0], shape[1], -1])
        room = (flat(side)[:, tf.newaxis] for side in self._room(x))
        order, epsilon = self.threat.order, self.threat.epsilon
        distances = hyperplane_distance(order, normal, offset, *room)
        ruled_out = bounds.lower_from_intervals(specification) > 0
        epsilon = tf.reshape(tf.cast(epsilon, tf.float32), [-1, 1])
        return tf.where(ruled_out, tf.maximum(distances, epsilon), distances)

    def _room(self, x):
        """How far each feature may move in the valid range: down and up."""
        threat = self.threat
        lower = tf.minimum(threat.low - x, 0.0)
        upper = tf.maximum(threat.high - x, 0.0)
        if threat.mask is None:
            return lower, upper
        free = threat.mask > 0
        return tf.where(free, lower, 0.0), tf.where(free, upper, 0.0)
