"""Curves between two sets of weights."""

import math
from collections.abc import Callable, Sequence

import numpy as np


def bezier(t: float, count: int) -> np.ndarray:
    """The share of each control point: `C(n, k) (1 - t)**(n - k) t**k`.

    Args:
        t: Where on the curve, in [0, 1].
        count: Number of points, n + 1.
    """
    n = count - 1
    shares = [math.comb(n, k) * (1 - t) ** (n - k) * t**k for k in range(count)]
    return np.array(shares)


def polygon(t: float, count: int) -> np.ndarray:
    """The share of each corner of a chain of straight lines.

    Args:
        t: Where on the chain, in [0, 1]; all lines take as long.
        count: Number of corners.
    """
    away = np.abs(t * (count - 1) - np.arange(count))
    return np.maximum(1 - away, 0.0)


CURVES: dict[str, Callable[[float, int], np.ndarray]] = {
    "bezier": bezier,
    "polygon": polygon,
}


class Chain:
    """Control points, and the curve that they give.

    Args:
        points: Of each the arrays of weights.
        curve: `"bezier"` or `"polygon"`.
    """

    def __init__(
        self, points: Sequence[Sequence[np.ndarray]], curve: str
    ) -> None:
        self.points, self.curve = points, curve

    def shares(self, t: float) -> np.ndarray:
        """How much of each point there is at t."""
        return CURVES[self.curve](t, len(self.points))

    def at(self, t: float) -> list[np.ndarray]:
        """The weights at t, float32: exactly those of the ends at 0 and 1."""
        shares = self.shares(t)
        return [
            np.tensordot(shares, np.stack(parts), 1).astype(np.float32)
            for parts in zip(*self.points, strict=True)
        ]


def straight(
    ends: Sequence[Sequence[np.ndarray]], count: int
) -> list[list[np.ndarray]]:
    """Points on the line between two ends, both included, at equal distances.

    Args:
        ends: Arrays of weights of either end.
        count: Number of points, at least 2.
    """
    first, last = ends
    points = [
        [
            ((1 - k) * np.float64(a) + k * np.float64(b)).astype(np.float32)
            for a, b in zip(first, last, strict=True)
        ]
        for k in np.linspace(0, 1, count)
    ]
    return points
