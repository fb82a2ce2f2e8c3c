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
        points: At each edge the value there, as the coefficients of a constant;
            of a comparison, True or False.
    """

    edges: tuple
    parts: tuple
    size: tuple = (Fraction(0),)
    roundings: int = 0
    points: tuple = ()

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
        return self._mapped(lambda part: _scaled(part, -1))

    def above(self, other: Pieces, equal: bool = False) -> Pieces | None:
        """Whether it is larger than a constant, known of z and abs(z) alone.

        Of what was rounded, it might be another at the edge.

        Args:
            other: The constant.
            equal: What it is where both are the same.
        """
        if self.roundings or other.edges or len(other.parts[0]) > 1:
            return None
        difference = self._joined(other.negative(), _sum, _sum, 0)
        split = difference and difference._split()
        if split is None:
            return None
        return split._signs(equal)

    def largest(self, other: Pieces) -> Pieces | None:
        """The larger of both, which isn't rounded."""
        difference = self._joined(other.negative(), _sum, _sum, 0)
        split = difference and difference._split()
        if split is None:
            return None
        return split._signs(False).chosen(self, other)

    def chosen(self, first: Pieces, second: Pieces) -> Pieces:
        """The first where this is True, else the second."""
        edges = _merged(_merged(self.edges, first.edges), second.edges)
        here, one, two = (p._over(edges) for p in (self, first, second))
        return Pieces(
            edges,
            tuple(map(_choice, here.parts, one.parts, two.parts)),
            _sum(first.size, second.size),
            first.roundings + second.roundings,
            tuple(map(_choice, here.points, one.points, two.points)),
        )

    def number(self) -> Pieces:
        """1 where it is True, else 0."""
        found = self._mapped(lambda part: (Fraction(int(part)),))
        return found._replace(size=(Fraction(1),))

    def opposite(self) -> Pieces:
        """Whether a comparison is False."""
        return self._mapped(lambda part: not part)

    def between(self) -> bool:
        """Whether its value at each edge is between both limits there."""
        for k, edge in enumerate(self.edges):
            limits = [_value(part, edge) for part in self.parts[k : k + 2]]
            if not min(limits) <= self.points[k][0] <= max(limits):
                return False
        return True

    def _mapped(self, how):
        """The same of each part, and at each edge."""
        parts, points = (tuple(map(how, p)) for p in (self.parts, self.points))
        return self._replace(parts=parts, points=points)

    def _joined(self, other, how, sizes, rounded):
        size = sizes(self.size, other.size)
        if len(size) > _DEGREE + 1:
            return None
        edges = _merged(self.edges, other.edges)
        one, two = self._over(edges), other._over(edges)
        return Pieces(
            edges,
            tuple(map(how, one.parts, two.parts)),
            size,
            self.roundings + other.roundings + rounded,
            tuple(map(how, one.points, two.points)),
        )

    def _over(self, edges):
        """The same with more edges."""
        known = dict(zip(self.edges, self.points, strict=True))
        points = [
            known[z] if z in known else _at(self._part(z), z) for z in edges
        ]
        parts = map(self._part, _middles(edges))
        return self._replace(
            edges=edges, parts=tuple(parts), points=tuple(points)
        )

    def _part(self, z):
        """The part that holds a place which is no edge."""
        return self.parts[sum(edge < z for edge in self.edges)]

    def _signs(self, equal):
        """Where it is positive, of what has an edge wherever that changes.

        Args:
            equal: What it is where it is 0.
        """
        places = zip(self.parts, _middles(self.edges), strict=True)
        values = [_value(part, z) for part, z in places]
        parts, points = (
            tuple(value > 0 or (equal and value == 0) for value in found)
            for found in (values, [point[0] for point in self.points])
        )
        return Pieces(self.edges, parts, points=points)

    def _split(self):
        """The same with an edge wherever a piece changes its sign."""
        roots = set()
        for part in self.parts:
            part = part[: _degree(part) + 1]
            if len(part) > 2:
                return None
            if len(part) == 2:
                roots.add(-part[0] / part[1])
        return self._over(_merged(self.edges, tuple(roots)))


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


def _at(part, z):
    """The constant that a part is at a place, or what a comparison is."""
    return part if isinstance(part, bool) else (_value(part, z),)


def _choice(here, first, second):
    return first if here else second


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
