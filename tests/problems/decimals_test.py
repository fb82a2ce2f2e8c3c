"""Fractions are written with all their digits, or those of float64."""

from fractions import Fraction

import pytest

from tfrobust.problems.decimals import between, decimals

pytestmark = pytest.mark.keras_free

THIRD = Fraction(1, 3)


@pytest.mark.parametrize(
    "value",
    "0.1 -3.25 12 0 0.0625 -0.0001 1e-999 -1e38 3.0000000000000000001".split(),
)
def test_fractions_are_printed_with_all_their_digits(value):
    assert Fraction(decimals(Fraction(value))) == Fraction(value)
    assert "e" not in decimals(Fraction(value))


@pytest.mark.parametrize("value", [THIRD, -THIRD / 10**7, 10**20 * THIRD])
def test_digits_that_never_end_are_those_of_float64(value):
    text = decimals(value)
    assert float(text) == float(value) and "." in text and "e" not in text


def test_an_interval_holds_a_decimal():
    for low, high in ((THIRD, THIRD + Fraction(1, 10**30)), (-THIRD, THIRD)):
        found = between(low, high)
        assert low <= found <= high and Fraction(decimals(found)) == found
    assert between(THIRD, THIRD) == THIRD
    assert between(Fraction(1, 8), Fraction(1)) == Fraction(1, 8)
