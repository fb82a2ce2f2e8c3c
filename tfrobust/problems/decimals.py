"""Fractions as decimal numbers."""

import decimal
import math
from fractions import Fraction

# More digits than any number of a query, or of float64, has after the point.
_MOST = 4000


def decimals(value: Fraction) -> str:
    """A fraction in decimal digits.

    All of them, or those of the nearest float64 if they never end.
    """
    count = _places(value)
    if count is None:
        text = format(decimal.Decimal(repr(float(value))), "f")
        return text if "." in text else f"{text}.0"
    whole = abs(value.numerator) * 10**count // value.denominator
    text = str(whole).rjust(count + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{text[: len(text) - count]}.{text[len(text) - count :]}0"


def between(low: Fraction, high: Fraction) -> Fraction:
    """A number of an interval whose digits end, or its lower end."""
    if _places(low) is not None:
        return low
    for count in range(40):
        found = Fraction(math.ceil(low * 10**count), 10**count)
        if found <= high:
            return found
    return low


def _places(value):
    """How many digits follow the point, None if they never end."""
    rest = value.denominator
    twos = (rest & -rest).bit_length() - 1
    rest, fives = rest >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    count = max(twos, fives)
    return count if rest == 1 and count <= _MOST else None
