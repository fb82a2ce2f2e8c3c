"""Bounds of inputs make a box, or none at all."""

from fractions import Fraction

import pytest

from tests.problems.query_test import BOX, query
from tfrobust.problems import VNNLIBError

pytestmark = pytest.mark.keras_free


@pytest.mark.parametrize(
    "asserted",
    [
        "(assert (>= X_0 1.5))",
        "(assert (< 1 0))",
        "(assert (> X_0 1))",
        "(assert (< (* -2 X_0) -2))",
        "(assert (and (>= X_0 0.3) (> X_0 0.3) (<= X_0 0.3)))",
        "(assert (and (< X_0 0.3) (<= X_0 0.3) (>= X_0 0.3)))",
        "(assert (or (< X_0 0.1) (> X_1 0.5)))",
    ],
)
def test_conditions_that_nothing_meets_leave_no_case(asserted, tmp_path):
    assert query(tmp_path, asserted + "(assert (<= Y_0 0))").cases == []


def test_strict_bounds_leave_the_box_closed(tmp_path):
    for one, other in (("<", ">="), ("<=", ">")):
        asserted = f"(assert (and ({one} X_0 0.4) ({other} X_0 0.3)))"
        (case,) = query(tmp_path, asserted).cases
        assert case.lower[0] == Fraction(3, 10)
        assert case.upper[0] == Fraction(2, 5)
    (case,) = query(tmp_path, "(assert (>= X_0 1))").cases
    assert case.lower[0] == case.upper[0] == 1


def test_inputs_beyond_float32_are_refused(tmp_path):
    for number in ("1e39", "1e400"):
        box = BOX.replace("(<= X_1 0.5)", f"(<= X_1 {number})")
        with pytest.raises(VNNLIBError, match="Line 6: float32 doesn't hold"):
            query(tmp_path, "", box=box)
        # Another bound is tighter.
        (case,) = query(tmp_path, "(assert (<= X_1 0.5))", box=box).cases
        assert case.upper[1] == Fraction(1, 2)


def test_a_box_must_be_closed_on_all_sides(tmp_path):
    box = BOX.replace("(<= X_1 0.5)", "")
    # Unless nothing meets it anyway.
    assert query(tmp_path, "(assert (>= X_0 2))", box=box).cases == []
    with pytest.raises(VNNLIBError, match="X_1 has no upper bound"):
        query(tmp_path, "(assert (<= Y_0 0))", box=box)
    many = "(assert (or (<= Y_0 0) (<= Y_1 0)))" * 14
    with pytest.raises(VNNLIBError, match="more than 10000 cases"):
        query(tmp_path, many)
