"""Intervals by centre and radius."""

import tensorflow as tf


class Around(tuple):
    """An interval, a pair of its ends, that knows its centre and radius.

    A constant that is added next, such as a bias, moves the centre alone.
    """

    def __new__(cls, centre, radius, spare=True):
        return super().__new__(cls, (centre - radius, centre + radius))

    def __init__(
        self, centre: tf.Tensor, radius: tf.Tensor, spare: bool = True
    ) -> None:
        """Both of shape `[batch, ...]`.

        Args:
            centre: The centre.
            radius: The radius.
            spare: Whether it has room for the roundings of one more addition.
        """
        self.centre, self.radius, self.spare = centre, radius, spare


def centred(interval: tuple) -> tuple[tf.Tensor, tf.Tensor]:
    """The centre and radius of an interval."""
    if isinstance(interval, Around):
        return interval.centre, interval.radius
    lower, upper = interval
    centre = (upper + lower) / 2
    return centre, upper - centre
