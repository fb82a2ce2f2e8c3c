"""Functions of one number that are polynomials, piece by piece."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

_DEGREE = 2


class Pieces(NamedTuple):
    """A function of z, which may jump from one piece to the next.

    Coefficients are exact. What float32 computes differs from the function by
    at most `roundings * 2**-24` times the polynomial of `size` in abs(z), in
    the first order.

    Args:
        edges: Where a piece ends and the next begins, rising.
        parts: One more than edges: coefficients of each piece, the constant's
            first. Of a comparison, True or False.
        size: Coefficients of what bounds the magnitudes of all that is
            computed, each at least 0.
        roundings: How many roundings took part.
    """

    edges: tuple
    parts: tuple
    size: tuple = (Fraction(0),)
    roundings: int = 0

    @classmethod
    def constant(cls, value: float) -> Pieces:
        """The same for every z."""
        exact = Fraction(float(value))
        return cls((), ((exact,),), (abs(exact),))

    @classmethod
    def identity(cls) -> Pieces:
        """z itself."""
        coefficients = Fraction(0), Fraction(1)
        return cls((), (coefficients,), coefficients)

    def plus(self, other: Pieces) -> Pieces | None:
        """The sum, rounded."""
        return self._joined(other, _sum, _sum, 1)

    def times(self, other: Pieces) -> Pieces | None:
        """The product, rounded."""
        return self._joined(other, _product, _product, 1)

    def negative(self) -> Pieces:
        """The same with the other sign."""
        return self._replace(parts=tuple(_scaled(p, -1) for p in self.parts))

    def above(self, other: Pieces) -> Pieces | None:
        """Whether it is larger than a constant, known of z and abs(z) alone.

        Of what was rounded, it might be another at the edge.
        """
        if self.roundings or other.edges or len(other.parts[0]) > 1:
            return None
        difference = self._joined(other.negative(), _sum, _sum, 0)
        split = difference and difference._split()
        if split is None:
            return None
        return split._signs()

    def largest(self, other: Pieces) -> Pieces | None:
        """The larger of both, which isn't rounded."""
        difference = self._joined(other.negative(), _sum, _sum, 0)
        split = difference and difference._split()
        if split is None:
            return None
        return split._signs().chosen(self, other)

    def chosen(self, first: Pieces, second: Pieces) -> Pieces | None:
        """The first where this is True, else the second."""
        both = first._joined(second, _pair, _sum, 0)
        edges = _merged(self.edges, both.edges)
        picked = tuple(
            pair[0] if here else pair[1]
            for here, pair in zip(
                self._over(edges), both._over(edges), strict=True
            )
        )
        return both._replace(edges=edges, parts=picked)

    def number(self) -> Pieces:
        """1 where it is True, else 0."""
        parts = tuple((Fraction(int(part)),) for part in self.parts)
        return Pieces(self.edges, parts, (Fraction(1),))

    def _joined(self, other, how, sizes, rounded):
        edges = _merged(self.edges, other.edges)
        parts = tuple(map(how, self._over(edges), other._over(edges)))
        size = sizes(self.size, other.size)
        if len(size) > _DEGREE + 1:
            return None
        roundings = self.roundings + other.roundings + rounded
        return Pieces(edges, parts, size, roundings)

    def _over(self, edges):
        """Its part in each piece between more edges."""
        return [
            self.parts[sum(edge < z for edge in self.edges)]
            for z in _middles(edges)
        ]

    def _signs(self):
        """Where it is positive, of what has an edge wherever that changes."""
        places = zip(self.parts, _middles(self.edges), strict=True)
        return Pieces(
            self.edges, tuple(_value(part, z) > 0 for part, z in places)
        )

    def _split(self):
        """The same with an edge wherever a piece changes its sign."""
        roots = set()
        for part in self.parts:
            part = part[: _degree(part) + 1]
            if len(part) > 2:
                return None
            if len(part) == 2:
                roots.add(-part[0] / part[1])
        edges = _merged(self.edges, tuple(roots))
        return self._replace(edges=edges, parts=tuple(self._over(edges)))


def _merged(edges, others):
    return tuple(sorted({*edges, *others}))


def _middles(edges):
    """A place within each piece."""
    if not edges:
        return [Fraction(0)]
    inner = [(a + b) / 2 for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [edges[0] - 1, *inner, edges[-1] + 1]


def _degree(part):
    return max((k for k, value in enumerate(part) if value), default=0)


def _value(part, z):
    return sum(value * z**k for k, value in enumerate(part))


def _pair(first, second):
    return first, second


def _scaled(part, factor):
    return tuple(factor * value for value in part)


def _sum(first, second):
    longer, shorter = sorted((first, second), key=len, reverse=True)
    padded = shorter + (Fraction(0),) * (len(longer) - len(shorter))
    return tuple(a + b for a, b in zip(longer, padded, strict=True))


def _product(first, second):
    product = [Fraction(0)] * (len(first) + len(second) - 1)
    for k, a in enumerate(first):
        for j, b in enumerate(second):
            product[k + j] += a * b
    return tuple(product)
