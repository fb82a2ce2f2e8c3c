"""Polyhedral envelope certificates."""

import functools
import math

import tensorflow as tf

from tfrobust import losses
from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.activation import PARALLEL
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.propagation import backward
from tfrobust.threats import Threat, hyperplane
from tfrobust.threats.rows import flat
from tfrobust.types import Model, TensorLike
from tfrobust.verifier import refuse_specification
from tfrobust.verifiers.bounding import Bounding


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
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        point: TensorLike | None = None,
    ) -> tf.Tensor:
        """Distances from x to the hyperplanes, shape `[batch, classes]`.

        Infinity where the range doesn't reach the hyperplane, and at y. Of a
        hyperplane that x isn't in front of, minus the distance without the
        range. At least epsilon where intervals rule the class out. Rounded
        down, and differentiable.

        Args:
            model: Any callable `model(x, training=False) -> logits`.
            x: Inputs in the threat's valid range, shape `[batch, ...]`.
            y: Labels, shape `[batch]`.
            point: Where to measure from, such as what an attack found, of x's
                shape; the hyperplanes are those around x. None for x itself.
        """
        refuse_specification(y, self)
        use = functools.partial(self._distances, point)
        distances = self.traced(model, x, y, use)
        y = tf.reshape(tf.cast(y, tf.int32), [-1])
        true = losses.true_class(y, distances)
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

    def _distances(self, point, bounds, specification):
        """Distances to where the lower bounds of the specification are 0."""
        trace, x = bounds.trace, bounds.x
        point = x if point is None else tf.cast(point, tf.float32)
        normal, _ = backward(trace, {trace.output: specification}, bounds.lines)
        normal = normal.dense(trace.input.shape).tensor
        # At x they are higher than over the threat by what they fall there.
        # What rounding may have added is already taken off.
        offset = bounds.lower(specification) + self.threat.support(x, -normal)
        shape = tf.shape(normal)
        normal = tf.reshape(normal, [shape[0], shape[1], -1])
        offset += tf.reduce_sum(normal * flat(point - x)[:, tf.newaxis], axis=2)
        room = (flat(end)[:, tf.newaxis] for end in self.threat.leeway(point))
        distances = hyperplane.distance(self.threat, normal, offset, *room)
        ruled_out = bounds.lower_from_intervals(specification) > 0
        epsilon = tf.cast(self.threat.epsilon, tf.float32)
        epsilon = tf.reshape(epsilon, [-1, 1])
        return tf.where(ruled_out, tf.maximum(distances, epsilon), distances)
