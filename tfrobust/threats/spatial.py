"""Rotations and translations of an image."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.threats.region import Region


@register
class Spatial(Region):
    """Rotations about the centre, followed by translations.

    It is the finite set of all pairs of an angle and a shift on a grid, the
    image itself among them. Pixels are interpolated bilinearly; what comes
    from outside is `fill`. It is no ball: `tfr.attacks.SpatialAttack` attacks
    it, verifiers don't know it.

    Args:
        rotation: Largest angle in degrees, either way, not negative.
        translation: Largest shift in pixels, in each direction, not negative.
        angles: Number of angles, odd, so that 0 is one of them.
        shifts: Number of shifts along each axis, likewise.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        fill: Value of what lies outside, in the range.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `Spatial(rotation=30.0, translation=3.0).contains(x, x)`

    Reference: Engstrom et al., 2019, arXiv 1712.02779, section 2.
    """

    def __init__(
        self,
        rotation: float = 30.0,
        translation: float = 3.0,
        angles: int = 31,
        shifts: int = 5,
        low: float = 0.0,
        high: float = 1.0,
        fill: float = 0.0,
    ):
        checks.number(rotation, "rotation", 0, 180)
        checks.number(translation, "translation", 0)
        for name, value in {"angles": angles, "shifts": shifts}.items():
            checks.count(value, name)
            checks.argument(value % 2 == 1, name, "be odd", value)
        self._keep(low, high)
        checks.number(fill, "fill", low, high)
        self.rotation, self.translation = rotation, translation
        self.angles, self.shifts, self.fill = angles, shifts, fill

    @property
    def members(self) -> np.ndarray:
        """All triples of degrees, rows down and columns right, `[n, 3]`."""
        angles = np.linspace(-self.rotation, self.rotation, self.angles)
        ends = -self.translation, self.translation
        shifts = np.linspace(*ends, self.shifts)
        grid = np.meshgrid(angles, shifts, shifts, indexing="ij")
        return np.stack(grid, axis=-1).reshape(-1, 3).astype(np.float32)

    def turned(self, x: tf.Tensor, members: tf.Tensor) -> tf.Tensor:
        """Images, each after a transformation of its own.

        Args:
            x: Images, shape `[batch, height, width, channels]`.
            members: Degrees counter-clockwise, rows down and columns right,
                shape `[batch, 3]`.

        Returns:
            Images of x's shape; x to the bit where all three are 0.
        """
        angle, down, right = tf.unstack(members, axis=1)
        sine, cosine = (f(angle * math.pi / 180) for f in (tf.sin, tf.cos))
        middle = [(length - 1) / 2 for length in x.shape[1:3]]
        # Where a pixel comes from: the shift undone, then the rotation.
        row, column = middle[0] + down, middle[1] + right
        zero = tf.zeros_like(angle)
        rows = [
            cosine,
            -sine,
            middle[1] - cosine * column + sine * row,
            sine,
            cosine,
            middle[0] - sine * column - cosine * row,
            zero,
            zero,
        ]
        found = tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=tf.stack(rows, axis=1),
            output_shape=x.shape[1:3],
            fill_value=self.fill,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )
        found = tf.clip_by_value(found, self.low, self.high)
        still = tf.reduce_all(members == 0, axis=1)
        return tf.where(still[:, None, None, None], x, found)

    def contains(self, x: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
        x, perturbed = (tf.cast(image, tf.float32) for image in (x, perturbed))
        members = tf.constant(self.members)
        batch = tf.shape(x)[0]

        def compare(number, found):
            member = tf.repeat(members[number : number + 1], batch, axis=0)
            gap = tf.abs(self.turned(x, member) - perturbed)
            near = tf.reduce_max(gap, axis=[1, 2, 3]) <= 1e-6 * (
                1 + max(abs(self.low), abs(self.high))
            )
            return number + 1, found | near

        return tf.while_loop(
            lambda number, found: ~tf.reduce_all(found),
            compare,
            (0, tf.zeros([batch], tf.bool)),
            maximum_iterations=len(self.members),
        )[1]
