"""A query: is there an input of a box whose output is unsafe?"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tfrobust.problems.declarations import Declared, declared, lookup
from tfrobust.problems.formula import Comparison, Formula, cases, formula
from tfrobust.problems.syntax import (
    VNNLIBError,
    parse,
    read_text,
    refuse,
)
from tfrobust.specification import Specification
from tfrobust.types import Path


class Case(NamedTuple):
    """A box of inputs, and what is to be proven on it.

    Attributes:
        lower: Lower ends, fractions, in row-major order.
        upper: Upper ends.
        specification: The `Specification` that holds where no output is
            unsafe; None if every output is.
    """

    lower: list[Fraction]
    upper: list[Fraction]
    specification: Specification | None


class Query(NamedTuple):
    """What a VNN-LIB file asks.

    Attributes:
        input: What is declared of the inputs: name, type, shape.
        output: What is declared of the outputs.
        asserted: The formula of a counterexample.
        cases: The `Case`s to decide: it is unsat if each of them is. Without
            any it is so vacuously: no input meets the file's conditions.
    """

    input: Declared
    output: Declared
    asserted: Formula
    cases: list[Case]

    def violated(self, x: Sequence, y: Sequence) -> bool:
        """Whether an input and its output are a counterexample, exactly.

        Args:
            x: Numbers or fractions, in row-major order.
            y: Likewise.
        """
        point = {}
        for output, values in ((False, x), (True, y)):
            for place, value in enumerate(values):
                if not math.isfinite(value):
                    return False
                point[output, place] = Fraction(value)
        return self.asserted.holds(point)


def read(path: Path) -> Query:
    """Reads a query in VNN-LIB 1.0 or 2.0, gzipped or not.

    Of both versions what networks of one input and one output need: bounds of
    single inputs, linear comparisons of outputs, joined by and, or. Numbers
    are kept exactly.

    Args:
        path: The file.

    Raises:
        VNNLIBError: If it holds anything else, a `ValueError` that names the
            line.

    Example:
        `tfr.problems.read("problems/vnnlib/1.0/0.vnnlib")`
    """
    groups = parse(read_text(path))
    x, y, variables = declared(groups)
    known = "vnnlib-version declare-network declare-const".split()
    asserted = Formula(True, [])
    for group in groups:
        if group[:1] == ["assert"] and len(group) == 2:
            asserted.parts.append(formula(group[1], lookup(variables)))
        elif not group or group[0] not in known:
            raise refuse(group, "Not known: declarations and (assert ...).")
        elif group[0] == "vnnlib-version" and group[1:] not in _VERSIONS:
            raise refuse(group, "Versions 1.0 and 2.0 are known.")
    return Query(x, y, asserted, _cases(asserted, x, y))


_VERSIONS = [["<1.0>"], ["<2.0>"]]
_LARGEST, _SMALLEST = 1e38, 2.0**-126
_TOO_LARGE = "float32 doesn't hold numbers so large."


def _cases(asserted, x, y):
    """The cases that have a box, those of one box together."""
    count, outputs = math.prod(x.shape), math.prod(y.shape)
    boxes: dict[Any, list[list[Comparison]]] = {}
    for case in cases(asserted):
        box = _box([c for c in case if not _of_outputs(c)], count, x)
        if box is not None:
            unsafe = [c for c in case if _of_outputs(c)]
            boxes.setdefault(box, []).append(unsafe)
    return [
        Case([*low], [*high], _safe(unsafe, outputs))
        for (low, high), unsafe in boxes.items()
    ]


def _of_outputs(comparison):
    """Whether it is about outputs; about both kinds nothing can be decided."""
    kinds = {output for output, _ in comparison.term.coefficients}
    if len(kinds) == 2:
        raise refuse(
            comparison.source, "Inputs and outputs are compared with numbers."
        )
    return kinds == {True}


class _Bound(NamedTuple):
    """That an input ends somewhere, and where that stands."""

    end: Fraction
    strict: bool
    source: Any


def _box(comparisons, count, declared_input):
    """Ends of all inputs, or None if there is no input between them."""
    ends = _ends(comparisons)
    if ends is None:
        return None
    both = [(ends.get((k, False)), ends.get((k, True))) for k in range(count)]
    for low, high in both:
        if low is None or high is None:
            continue
        if low.end > high.end or (
            low.end == high.end and (low.strict or high.strict)
        ):
            return None
    for place, pair in enumerate(both):
        if None in pair:
            name = declared_input.names()[place]
            side = "lower" if pair[0] is None else "upper"
            raise VNNLIBError(f"Line 1: the input {name} has no {side} bound.")
        for bound in pair:
            if abs(bound.end) > _LARGEST:
                raise refuse(bound.source, _TOO_LARGE)
    return tuple(tuple(pair[k].end for pair in both) for k in (0, 1))


def _ends(comparisons):
    """The tightest bound of each place and side, or None if none can hold."""
    found: dict[tuple[int, bool], _Bound] = {}
    for term, strict, source in comparisons:
        if not term.coefficients:
            if not Comparison(term, strict, source).holds({}):
                return None
            continue
        if len(term.coefficients) > 1:
            raise refuse(source, "Bounds of single inputs alone make a box.")
        ((_, place), factor), *_ = term.coefficients.items()
        bound = _Bound(-term.constant / factor, strict, source)
        known = found.get((place, factor > 0))
        sign = 1 if factor > 0 else -1
        if known is None or (sign * bound.end, not strict) < (
            sign * known.end,
            not known.strict,
        ):
            found[place, factor > 0] = bound
    return found


def _safe(unsafe, outputs):
    """The specification that no conjunction of comparisons holds."""
    rows: list[np.ndarray] = []
    offsets: list[np.float32] = []
    clauses = []
    for conjunction in unsafe:
        if not conjunction:
            return None
        first = len(rows)
        for comparison in conjunction:
            row, offset = _row(comparison, outputs)
            rows.append(row)
            offsets.append(offset)
        clauses.append([*range(first, len(rows))])
    return Specification(rows, offsets, clauses)


def _row(comparison, outputs):
    """The negation, `row @ y + offset > 0`, in float32: exact, or stronger."""
    term, _, source = comparison
    values = list(term.coefficients.values())
    scale = Fraction(math.lcm(*(v.denominator for v in values)))
    scale /= math.gcd(*(int(v * scale) for v in values))
    row = np.zeros(outputs, np.float32)
    for (_, place), value in term.coefficients.items():
        row[place] = _rounded_down(value * scale, source)
        if Fraction(float(row[place])) != value * scale:
            raise refuse(source, "float32 doesn't hold these coefficients.")
    return row, _rounded_down(term.constant * scale, source)


def _rounded_down(exact, source):
    """The largest float32 that isn't above a fraction, nor subnormal."""
    if abs(exact) > _LARGEST:
        raise refuse(source, _TOO_LARGE)
    found = np.float32(float(exact))
    while Fraction(float(found)) > exact:
        found = np.nextafter(found, np.float32(-np.inf))
    if abs(found) < _SMALLEST:
        # Arithmetic may take it for 0.
        return np.float32(-_SMALLEST if found < 0 else 0.0)
    return found
