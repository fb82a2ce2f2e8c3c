"""Intervals by centre and radius."""


class Around(tuple):
    """An interval, a pair of its ends, that knows its centre and radius.

    A constant that is added next, such as a bias, moves the centre alone.
    """

    def __new__(cls, centre, radius, spare=True):
        return super().__new__(cls, (centre - radius, centre + radius))

    def __init__(self, centre, radius, spare=True):
        """Both of shape `[batch, ...]`.

        Args:
            centre: The centre.
            radius: The radius.
            spare: Whether it has room for the roundings of one more addition.
        """
        self.centre, self.radius, self.spare = centre, radius, spare


def centred(interval):
    """The centre and radius of an interval."""
    if isinstance(interval, Around):
        return interval.centre, interval.radius
    lower, upper = interval
    centre = (upper + lower) / 2
    return centre, upper - centre


def width(interval):
    """The width of an interval, or half of it where that is known."""
    if isinstance(interval, Around):
        return interval.radius
    lower, upper = interval
    return upper - lower
