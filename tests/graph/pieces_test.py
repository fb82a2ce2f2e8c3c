"""The algebra of functions in pieces against functions of numbers."""

from fractions import Fraction

import numpy as np
import pytest

from tfrobust.graph.pieces import Pieces

pytestmark = pytest.mark.keras_free

Z = Pieces.identity()
GRID = [Fraction(k, 8) for k in range(-40, 41)]


def number(value):
    return Pieces.constant(value)


def at(pieces, z):
    """The value at a place."""
    part = pieces.parts[sum(edge < z for edge in pieces.edges)]
    if z in pieces.edges:
        part = pieces.points[pieces.edges.index(z)]
    if isinstance(part, bool):
        return part
    return sum(value * z**k for k, value in enumerate(part))


FUNCTIONS = {
    "sum": (Z.plus(number(2.0)), lambda z: z + 2),
    "square": (Z.times(Z), lambda z: z * z),
    "negative": (Z.negative(), lambda z: -z),
    "size": (Z.largest(Z.negative()), abs),
    "comparison": (Z.above(number(0.5)), lambda z: z > Fraction(1, 2)),
    "comparison that holds at the edge": (
        Z.above(number(0.5), True),
        lambda z: z >= Fraction(1, 2),
    ),
    "comparison of what is constant on one side": (
        Z.largest(number(0.0)).above(number(0.0), True),
        lambda z: True,
    ),
    "opposite": (
        Z.largest(number(0.0)).above(number(0.0)).opposite(),
        lambda z: z <= 0,
    ),
    "a point": (
        Z.above(number(1.0), True)
        .number()
        .times(Z.above(number(1.0)).opposite().number()),
        lambda z: int(z == 1),
    ),
    "step": (
        Z.above(number(0.5)).number(),
        lambda z: int(z > Fraction(1, 2)),
    ),
    "choice of choices": (
        Z.above(number(1.0)).chosen(
            Z, Z.above(number(-1.0)).chosen(Z.times(Z), number(3.0))
        ),
        lambda z: z if z > 1 else z * z if z > -1 else 3,
    ),
    "larger of both": (
        Z.largest(Z.plus(Z).plus(number(-1.0))),
        lambda z: max(z, 2 * z - 1),
    ),
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_it_is_the_function_that_it_stands_for(name):
    pieces, function = FUNCTIONS[name]
    assert [at(pieces, z) for z in GRID] == [function(z) for z in GRID]


@pytest.mark.parametrize("name", ["sum", "square", "size", "larger of both"])
def test_its_size_is_no_smaller_than_its_values(name):
    pieces, function = FUNCTIONS[name]
    for z in GRID:
        size = sum(s * abs(z) ** k for k, s in enumerate(pieces.size))
        assert size >= abs(function(z))


def test_values_at_edges_are_between_both_limits_or_not():
    step, point = FUNCTIONS["step"][0], FUNCTIONS["a point"][0]
    assert step.between() and FUNCTIONS["size"][0].between()
    assert not point.between() and not point.negative().between()
    assert Z.above(number(1.0)).chosen(Z, step).between()


def test_roundings_are_counted():
    assert Z.plus(number(1.0)).times(Z).roundings == 2
    assert Z.largest(Z.negative()).roundings == 0


def test_what_is_not_known_is_none():
    rounded = Z.plus(number(1.0))
    assert rounded.above(number(0.0)) is None
    assert Z.above(Z) is None
    assert Z.times(Z).times(Z) is None
    assert Z.times(Z).largest(number(1.0)) is None


def test_constants_are_exact():
    value = np.float32(0.1)
    assert Pieces.constant(value).parts[0][0] == Fraction(float(value))
