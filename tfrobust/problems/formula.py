"""What a VNN-LIB file asserts: comparisons of linear terms, exactly.

Numbers are fractions, so that nothing is rounded between the file and what is
proven or shown.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from tfrobust.problems.syntax import Group, VNNLIBError, Word, refuse

# A variable: whether it is an output, and its place among these.
Variable = tuple[bool, int]
# More cases than anyone should bound one by one.
_MOST = 10_000
# float64 has no number of more digits, and Python reads no 4300.
_DIGITS = 2000
# Exponents of three digits: what float64 holds has no others.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?0*[0-9]{1,3})?")


class Term(NamedTuple):
    """A linear function of variables: coefficients and a constant."""

    coefficients: dict[Variable, Fraction]
    constant: Fraction

    def times(self, factor: Fraction) -> "Term":
        """The multiple of a term."""
        scaled = {v: factor * c for v, c in self.coefficients.items()}
        return Term(scaled, factor * self.constant)

    def plus(self, other: "Term") -> "Term":
        """The sum of two terms."""
        total = dict(self.coefficients)
        for variable, value in other.coefficients.items():
            total[variable] = total.get(variable, Fraction(0)) + value
        kept = {v: c for v, c in total.items() if c}
        return Term(kept, self.constant + other.constant)

    def at(self, point: Mapping[Variable, Fraction]) -> Fraction:
        """Its value at a point."""
        values = (c * point[v] for v, c in self.coefficients.items())
        return sum(values, self.constant)


class Comparison(NamedTuple):
    """That a term is at most 0, or below 0 if strict; and where it stands."""

    term: Term
    strict: bool
    source: Any

    def holds(self, point: Mapping[Variable, Fraction]) -> bool:
        """Whether it is true at a point."""
        value = self.term.at(point)
        return value < 0 if self.strict else value <= 0


class Formula(NamedTuple):
    """Formulas joined by and, or by or."""

    all: bool
    parts: list[Any]

    def holds(self, point: Mapping[Variable, Fraction]) -> bool:
        """Whether it is true at a point."""
        join = all if self.all else any
        return join(part.holds(point) for part in self.parts)


Lookup = Callable[[Word], Variable]


def formula(source: Any, lookup: Lookup) -> Any:
    """Reads what an assertion holds.

    Args:
        source: A `Group`.
        lookup: Function of a name that gives its variable, or refuses it.

    Raises:
        VNNLIBError: If it isn't a comparison of linear terms, or such joined
            by and, or.
    """
    if not isinstance(source, Group) or not source:
        raise refuse(source, "A comparison or and, or in brackets is expected.")
    head, *rest = source
    if head in ("and", "or"):
        parts = [formula(part, lookup) for part in rest]
        return Formula(head == "and", parts)
    if head not in ("<=", "<", ">=", ">", "==", "!=") or len(rest) != 2:
        raise refuse(source, "Not known: use and, or, <=, <, >=, >, ==, !=.")
    first, second = (term(part, lookup) for part in rest)
    below = first.plus(second.times(Fraction(-1)))
    above = below.times(Fraction(-1))
    if head in ("==", "!="):
        strict = head == "!="
        both = [Comparison(t, strict, source) for t in (below, above)]
        return Formula(head == "==", both)
    return Comparison(below if "<" in head else above, len(head) == 1, source)


def term(source: Any, lookup: Lookup) -> Term:
    """Reads a linear term: numbers, variables, and `+`, `-`, `*` of them."""
    if isinstance(source, Word):
        number = _number(source)
        if number is not None:
            return Term({}, number)
        return Term({lookup(source): Fraction(1)}, Fraction(0))
    head, *rest = source or [None]
    if head not in ("+", "-", "*") or not rest:
        raise refuse(source, "Not known: terms are made of +, - and *.")
    first, *others = (term(part, lookup) for part in rest)
    if head == "-" and not others:
        return first.times(Fraction(-1))
    for other in others:
        if head == "*":
            if first.coefficients and other.coefficients:
                raise refuse(source, "Only linear terms can be decided.")
            if first.coefficients:
                first, other = other, first
            first = other.times(first.constant)
        else:
            first = first.plus(other.times(Fraction(1 if head == "+" else -1)))
    return first


def cases(asserted: Any) -> list[list[Comparison]]:
    """The cases of a formula: it holds where all comparisons of one do.

    Raises:
        VNNLIBError: If there are too many.
    """
    if isinstance(asserted, Comparison):
        return [[asserted]]
    parts = [cases(part) for part in asserted.parts]
    if not asserted.all:
        return [case for part in parts for case in part]
    count = 1
    for part in parts:
        count *= len(part)
        if count > _MOST:
            raise VNNLIBError(f"There are more than {_MOST} cases to decide.")
    return [list(itertools.chain(*pick)) for pick in itertools.product(*parts)]


def comparisons(asserted: Any) -> Iterator[Comparison]:
    """All comparisons of a formula."""
    if isinstance(asserted, Comparison):
        yield asserted
    else:
        for part in asserted.parts:
            yield from comparisons(part)


def _number(word):
    if word[:1].isalpha() or word[:1] == "_":
        return None
    if not _NUMBER.fullmatch(word) or len(word) > _DIGITS:
        raise refuse(
            word,
            "A number or a variable is expected, numbers as decimals of at "
            f"most {_DIGITS} characters and an exponent of 3 digits.",
        )
    return Fraction(word)
