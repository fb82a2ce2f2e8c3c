"""The box threat."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import Schedule, register
from tfrobust.threats.linf import Linf
from tfrobust.types import TensorLike


@register
class Box(Linf):
    """Every feature moves by at most a radius of its own, within the range.

    It is `Linf` with a radius for each feature, whatever the shape of x, and
    for boxes that reach beyond the valid range: there the range alone bounds.

    Args:
        radius: Largest move of each feature, in the units of x: shape
            `[batch, ...]`, or the shape of one input, which holds for every
            example.
        low: Smallest valid value of an input; or an array, one a feature.
        high: Largest valid value of an input, likewise.
        mask: 1 where an input may be perturbed, 0 elsewhere; None for all.

    Raises:
        ValueError: If a radius is negative or not finite, or there is one
            radius for all features.

    Example:
        `tfr.threats.Box(0.1 * x_train.std(axis=0))`

    Reference: Liu et al., 2019, arXiv 1903.06603.
    """

    def __init__(
        self,
        radius: TensorLike,
        low: Any = 0.0,
        high: Any = 1.0,
        mask: TensorLike | None = None,
    ):
        if isinstance(radius, Schedule) or len(np.shape(radius)) == 0:
            raise ValueError(
                "`radius` must hold one radius for each feature; one for all "
                f"features is tfr.threats.Linf. Received: radius={radius!r}"
            )
        if len(np.shape(radius)) == 1:
            # Of other threats it would be the radius for each example.
            given: Any = radius if tf.is_tensor(radius) else np.asarray(radius)
            radius = given[tf.newaxis]
        super().__init__(radius, low, high, mask)

    @classmethod
    def between(
        cls, lower: TensorLike, upper: TensorLike
    ) -> tuple[np.ndarray, "Box"]:
        """The boxes between two corners, as their centres and a threat.

        Args:
            lower: Lower corners, shape `[batch, ...]`.
            upper: Upper corners, of the same shape.

        Returns:
            Centres x, float32, and the threat around them. Rounding makes it
            larger by a few units in the last place of the larger end, never
            smaller.

        Raises:
            ValueError: If they are of different shapes, or a lower end isn't
                finite or exceeds the upper one.

        Example:
            ```
            x, box = tfr.threats.Box.between(lower, upper)
            margins = tfr.verifiers.CROWN(box).margins(model, x, y)
            ```
        """
        ends = [np.asarray(end, np.float64) for end in (lower, upper)]
        fine = ends[0].shape == ends[1].shape and ends[0].ndim > 1
        fine = fine and bool(np.all(np.isfinite(ends)))
        fine = fine and bool(np.all(ends[0] <= ends[1]))
        expected = "be finite and not above `upper`, both [batch, ...]"
        checks.argument(fine, "lower", expected, (lower, upper))
        x = ((ends[0] + ends[1]) / 2).astype(np.float32)
        # What float32 makes of x and radius must hold both ends.
        radius = np.maximum(ends[1] - x, x - ends[0]).astype(np.float32)
        reach = np.abs(x) + radius
        radius = np.where(radius > 0, radius + 2 * np.spacing(reach), radius)
        low, high = float(np.min(ends[0])), float(np.max(ends[1]))
        # A range that rounding doesn't reach.
        spare = 1e-6 * max(abs(low), abs(high), 1e-30)
        return x, cls(radius.astype(np.float32), low - spare, high + spare)

    @property
    def radius(self) -> TensorLike:
        """The radius, known to whatever takes any threat as `epsilon`."""
        return self.epsilon
