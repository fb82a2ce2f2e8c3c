"""What rounding to float32 may add, derived, for sums in any order.

A sum of n products that is computed in float32 differs from the exact one by at
most `n u / (1 - n u)` times the sum of their magnitudes, u being 2**-24, in
whatever order it is added up. That holds for the network and for the bounds on
it alike, so both are allowed for at once: as a share of the magnitudes, which
intervals, lines and boxes are widened by.

Reference: Higham, 2002, Accuracy and Stability of Numerical Algorithms, section
3.1.
"""

import tensorflow as tf

from tfrobust.bounds import around

UNIT = 2.0**-24
# Roundings beside those of a sum: of its ends, a centre, a radius or a factor.
FEW = 4
# What may be lost to numbers too small for float32.
TINY = 1e-30
# What an interval's width must stay below.
LARGEST = 1e30


def share(roundings):
    """By what share of its magnitudes a sum of so many roundings may be off.

    Raises:
        NotImplementedError: If there are too many for a bound.
    """
    off = (roundings + FEW) * UNIT
    if off > 0.1:
        raise NotImplementedError(
            f"A sum of {roundings} terms is too long to bound its rounding. "
            "Compute it in several layers."
        )
    # The magnitudes are rounded as well.
    return off / (1 - 2 * off)


def size(lower, upper):
    """The largest magnitude between both ends; no gradient flows through it."""
    return tf.stop_gradient(tf.maximum(tf.abs(lower), tf.abs(upper)))


def spare(lower, upper, roundings=0):
    """What so many roundings may add to an interval at either end."""
    return share(roundings) * size(lower, upper) + TINY


def total(values):
    """The sum of some lower bounds, less what rounding may add to it.

    Args:
        values: Tensors that broadcast, and zeros that are numbers.

    Returns:
        A tensor; 0.0 if there is none.
    """
    values = [value for value in values if not isinstance(value, float)]
    if len(values) < 2:
        return values[0] if values else 0.0
    first, *rest = values
    magnitude = sum(map(tf.abs, rest), tf.abs(first))
    return sum(rest, first) - tf.stop_gradient(
        2 * len(values) * UNIT * magnitude
    )


def finite(interval):
    """Whether no value can overflow, in any order of its sum; `[batch]`.

    Intervals are wider than a millionth of the magnitudes that are summed up.
    """
    width = around.width(interval)
    return tf.reduce_sum(width, list(range(1, width.shape.rank))) < LARGEST
