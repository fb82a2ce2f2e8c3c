"""Patches: any values in one square of an image."""

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import register
from tfrobust.threats.box import Box
from tfrobust.threats.region import Region


@register
class Patch(Region):
    """Any values of the range within one square, which the attacker places.

    It is no ball: `tfr.attacks.PatchAttack` attacks it, verifiers don't know
    it.

    Args:
        size: Side of the square in pixels, at least 1; all channels of a
            pixel belong to it. It lies within the image.
        low: Smallest valid value of an input.
        high: Largest valid value of an input, finite, as is `low`.
        corner: Row and column of its upper left pixel; None for any place.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `Patch(3).contains(x, x)`

    Reference: Brown et al., 2017, arXiv 1712.09665.
    """

    def __init__(
        self,
        size: int,
        low: float = 0.0,
        high: float = 1.0,
        corner: tuple[int, int] | None = None,
    ):
        checks.count(size, "size")
        self._keep(low, high)
        checks.finite(low=low, high=high)
        for number in () if corner is None else corner:
            checks.count(number, "corner", least=0)
        fine = corner is None or len(corner) == 2
        checks.argument(fine, "corner", "be a row and a column", corner)
        self.size, self.corner = size, corner

    def ends(self, x: tf.Tensor) -> tuple[int, int]:
        """The last row and the last column at which a square may begin.

        Raises:
            ValueError: If the square doesn't fit into the images.
        """
        height, width = x.shape[1] - self.size, x.shape[2] - self.size
        row, column = self.corner or (0, 0)
        if row > height or column > width:
            raise ValueError(
                "`size` and `corner` must leave the patch within the image, "
                f"{x.shape[1]} x {x.shape[2]} pixels. Received: size="
                f"{self.size}, corner={self.corner}"
            )
        return height, width

    def mask_at(self, x: tf.Tensor, corners: tf.Tensor) -> tf.Tensor:
        """1 within the square of each image, `[batch, height, width, 1]`.

        Args:
            x: Images, shape `[batch, height, width, channels]`.
            corners: Rows and columns, shape `[batch, 2]`, int32.
        """

        def within(length, first):
            number = tf.range(length)[tf.newaxis]
            return (number >= first) & (number < first + self.size)

        rows = within(x.shape[1], corners[:, :1])[:, :, tf.newaxis]
        columns = within(x.shape[2], corners[:, 1:])[:, tf.newaxis]
        return tf.cast(rows & columns, tf.float32)[..., tf.newaxis]

    def box_at(self, x: tf.Tensor, corners: tf.Tensor) -> Box:
        """All values within the square at given corners, as a box."""
        radius = tf.fill([1] * 4, float(self.high - self.low))
        box = Box(radius, self.low, self.high)
        return box._replace(mask=self.mask_at(x, corners))

    def contains(self, x: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
        self.ends(x)
        x, perturbed = (tf.cast(image, tf.float32) for image in (x, perturbed))
        valid = (perturbed >= self.low) & (perturbed <= self.high)
        moved = tf.reduce_any(perturbed != x, axis=3)
        near = tf.reduce_all(valid, axis=[1, 2, 3])
        for axis in (1, 2):
            # Along one axis: where any pixel of the other has changed.
            changed = tf.reduce_any(moved, axis=3 - axis)
            first = _first(changed)
            last = x.shape[axis] - 1 - _first(tf.reverse(changed, [1]))
            least, most = first, first + self.size - 1
            if self.corner is not None:
                least = self.corner[axis - 1]
                most = least + self.size - 1
            near &= (first >= least) & (last <= most) | (last < first)
        return near


def _first(marks):
    """The first mark of each row, or the length of the row without any."""
    length = tf.shape(marks)[1]
    number = tf.where(marks, tf.range(length)[tf.newaxis], length)
    return tf.reduce_min(number, axis=1)
