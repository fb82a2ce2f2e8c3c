"""What a query asks, in both versions, and which line can't be read."""

import gzip
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats
from tfrobust.problems import VNNLIBError, read
from tfrobust.problems.vnnlib_writer import text
from tfrobust.verifiers import Specification

pytestmark = pytest.mark.keras_free

DECLARED = {
    "1.0": "\n".join(
        f"(declare-const {n} Real)" for n in "X_0 X_1 Y_0 Y_1 Y_2".split()
    ),
    "2.0": """(vnnlib-version <2.0>)
(declare-network f
    (declare-input X float32 [1, 2]) ; a comment
    (declare-output Y float32 [1,3]))

""",
}
BOX = "(assert (and (>= X_0 0.1) (<= X_0 1) (>= X_1 -2e-1) (<= X_1 0.5)))\n"


def query(tmp_path, asserted, version="1.0", box=BOX, zipped=False):
    whole = f"{DECLARED[version]}\n{box}{asserted}"
    if version == "2.0":
        for letter, k in itertools.product("XY", range(3)):
            whole = whole.replace(f"{letter}_{k}", f"{letter}[0, {k}]")
    path = tmp_path / "query.vnnlib"
    data = whole.encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    return read(path)


UNSAFE = {
    "(assert (<= Y_0 Y_1))": lambda y: y[0] <= y[1],
    "(assert (> Y_0 0.5))(assert (< (+ Y_1 Y_2) 1))": lambda y: (
        y[0] > 0.5 and y[1] + y[2] < 1
    ),
    "(assert (or (and (>= Y_1 Y_0) (>= Y_2 Y_0)) (<= Y_0 -0.25)))": lambda y: (
        (y[1] >= y[0] and y[2] >= y[0]) or y[0] <= -0.25
    ),
    "(assert (>= (- (* 0.5 Y_0) (* Y_1 0.25) 0.125) (- Y_2)))": lambda y: (
        0.5 * y[0] - 0.25 * y[1] - 0.125 >= -y[2]
    ),
    "(assert (!= Y_0 0.0))": lambda y: y[0] != 0,
    "(assert (== Y_0 Y_1))": lambda y: y[0] == y[1],
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("asserted", list(UNSAFE))
def test_outputs_are_unsafe_where_the_formula_holds(
    asserted, version, tmp_path
):
    found = query(tmp_path, asserted, version, zipped=version == "2.0")
    assert found.input.shape == ((2,) if version == "1.0" else (1, 2))
    (case,) = found.cases
    assert case.lower == [Fraction(1, 10), Fraction(-1, 5)]
    assert case.upper == [1, Fraction(1, 2)]
    grid = np.array([*itertools.product(np.arange(-1, 1.1, 0.25), repeat=3)])
    unsafe = [UNSAFE[asserted](y) for y in grid]
    assert 0 < sum(unsafe) < len(grid)
    x = [0.5, 0.0]
    assert [found.violated(x, y) for y in grid.tolist()] == unsafe
    # Whatever is safe by the specification isn't unsafe: ties may be neither.
    safe = case.specification(grid).numpy() > 0
    assert not np.any(safe & unsafe)
    tied = case.specification(grid).numpy() == 0
    assert np.all(safe | unsafe | tied)
    assert not found.violated([0.0, 0.0], grid[np.argmax(unsafe)].tolist())
    assert not found.violated(x, [math.nan] * 3)


def test_what_is_written_is_read_as_what_it_was(tmp_path):
    rng = np.random.default_rng(0)
    spec = Specification(
        rng.normal(size=(5, 3)), 1 + rng.random(5), [[0, 1], [2], [3, 4, 0]]
    )
    x = rng.uniform(size=(1, 2, 2)).astype(np.float32)
    ends = [end[0].numpy() for end in threats.Linf(0.1).box(tf.constant(x))]
    outputs = rng.normal(size=(200, 3)).astype(np.float32)
    for version in ("1.0", "2.0"):
        path = tmp_path / "query.vnnlib"
        path.write_text(text(*ends, spec, version, "random"))
        found = read(path)
        (case,) = found.cases
        for end, read_end in zip(ends, case[:2], strict=True):
            assert [float(e) for e in read_end] == end.ravel().tolist()
        holds = spec(outputs).numpy() > 0
        assert 20 < np.sum(holds) < 180
        violated = [
            found.violated(x.ravel().tolist(), y.tolist()) for y in outputs
        ]
        np.testing.assert_array_equal(violated, ~holds)
        again = case.specification(outputs).numpy() > 0
        np.testing.assert_array_equal(again, holds)


def test_cases_of_inputs_become_boxes_of_their_own(tmp_path):
    asserted = """(assert (or
        (and (<= X_0 0.3) (<= Y_0 Y_1))
        (and (<= X_0 0.3) (<= Y_0 Y_2))
        (and (>= X_0 0.7) (<= Y_0 0))
        (and (>= X_0 2) (<= Y_0 0))
        (and (>= X_0 0.9))))"""
    found = query(tmp_path, asserted)
    ends = [(float(c.lower[0]), float(c.upper[0])) for c in found.cases]
    assert ends == [(0.1, 0.3), (0.7, 1.0), (0.9, 1.0)]
    assert found.cases[0].specification.clauses == [[0], [1]]
    # Of this one every output is unsafe.
    assert found.cases[2].specification is None


def test_constants_are_rounded_to_what_is_harder_to_prove(tmp_path):
    for sign in ("<=", ">="):
        for number in ("0.1", "-0.1", "1e-60", "-1e-60", "16777217"):
            found = query(tmp_path, f"(assert ({sign} Y_0 {number}))")
            spec, exact = found.cases[0].specification, Fraction(number)
            assert found.violated([0.5, 0], [exact, 0, 0])
            row, offset = float(spec.rows[0, 0]), float(spec.offsets[0])
            assert Fraction(row) * exact + Fraction(offset) <= 0
            # It is close.
            holds = float(exact) + 1e-6 * row * (1 + abs(float(exact)))
            assert row * holds + offset > 0
            # Nothing that arithmetic may take for 0.
            assert offset == 0 or abs(offset) >= 2.0**-126


REFUSED = {
    "(assert (<= X_0 Y_0))": "Line 7: Inputs and outputs",
    "(assert (<= (+ X_0 X_1) 1))": "Line 7: Bounds of single inputs",
    "(assert (<= (* Y_0 Y_1) 1))": "Line 7: Only linear terms",
    "\n(assert (<= Y_3 1))": "Line 8: A variable that is never declared.*Y_3",
    "(assert (=> Y_0 1))": "Line 7: Not known: use and, or",
    "(assert (<= Y_0 1 2))": "Line 7: Not known: use and, or",
    "(assert (<= (exp Y_0) 1))": "Line 7: Not known: terms are made of",
    **{
        f"(assert (<= Y_0 {number}))": "Line 7: A number or a variable"
        for number in "1x 1/3 1_000 1e 1e20000000 1e-20000000 - .".split()
    },
    f"(assert (<= Y_0 0.{'0' * 5000}))": "Line 7: A number or a variable",
    "(assert (<= Y_0 1e400))": "Line 7: float32 doesn't hold numbers so large",
    f"(assert {'(and ' * 3000}": "Line 7: at most 200 brackets in brackets",
    "(assert Y_0)": "Line 7: A comparison or and, or",
    "(define Y_0)": "Line 7: Not known: declarations and",
    "(vnnlib-version <3.0>)": "Line 7: Versions 1.0 and 2.0",
    "(assert (<= Y_0 1)": "Line 7: a bracket is never closed",
    "(assert (<= Y_0 1)))": "Line 7: a bracket closes nothing",
    "word": "Line 7: A word stands outside",
    "(assert (<= (+ (* 0.1234567891 Y_0) (* 0.9876543211 Y_1)) 1))": (
        "Line 7: float32 doesn't hold these coefficients"
    ),
    "(assert (<= Y_0 1e39))": "Line 7: float32 doesn't hold numbers so large",
    "(declare-const X_0 Real)": "Line 7: It is declared twice",
    "(declare-const Y_4 Real)": "Y_3 is never declared",
    "(declare-const Z Real)": "Line 7: X_0 or Y_0 and the like",
}


@pytest.mark.parametrize("asserted", list(REFUSED))
def test_what_cannot_be_read_is_refused_with_its_line(asserted, tmp_path):
    with pytest.raises(VNNLIBError, match=REFUSED[asserted]):
        query(tmp_path, asserted)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("X float32", "X float16", "Line 3: No proof covers the type float16"),
        ("Y float32", "Y int64", "Line 4: No proof covers the type int64"),
        ("[1, 2]", "[n]", "Line 3: A shape is expected"),
        ("[1, 2]", "(1 2)", "Line 3: Not known: inputs and outputs"),
        ("X float32", "(X) float32", "Line 3: Not known: inputs and"),
        ("[1, 2]", "[1,999999999]", "Line 3: At most 10000000 variables"),
        ("f\n", "f ((x) y)\n", "Line 2: Not known: inputs and outputs"),
        ("Y float32", "X float32", "Line 2: The name X is declared twice"),
        ("(declare-input", "(declare-hidden", "Line 3: Not known: inputs and"),
        ("(declare-output Y float32 [1,3])", "", "Line 2: One input and one"),
        (
            "(vnnlib-version <2.0>)",
            "(vnnlib-version <2.0>) (declare-network g)",
            "Line 2: Queries of one network",
        ),
    ],
)
def test_declarations_that_no_proof_covers_are_refused(
    old, new, message, tmp_path
):
    path = tmp_path / "query.vnnlib"
    path.write_text(DECLARED["2.0"].replace(old, new))
    with pytest.raises(VNNLIBError, match=message):
        read(path)


def test_decimals_are_read_exactly(tmp_path):
    for number in ("+.5e-3", "5.", "12E2", "0e0007", "-0.25e+1", "1e-999"):
        found = query(tmp_path, f"(assert (<= Y_0 {number}))")
        exact = Fraction(number)
        above = exact + Fraction(1, 10**1000)
        assert found.violated([0.5, 0], [exact, 0, 0])
        assert not found.violated([0.5, 0], [above, 0, 0])
