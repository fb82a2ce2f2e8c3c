"""Threats, and points that are in them beyond doubt.

Nothing here asks tfrobust which points a threat allows: membership is decided
in float64, from the definition.
"""

from typing import Any, NamedTuple

import numpy as np

from tfrobust import threats

KINDS = "linf", "linf", "l2", "l1", "box"
RANGES = (0.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-9.0, 9.0), (0.0, 255.0)


class Problem(NamedTuple):
    """A threat and inputs, and what defines both.

    Attributes:
        threat: The `Threat`.
        x: Inputs, float32.
        y: Labels.
        order: The p of the norm.
        radius: Of each feature, of x's shape; 0 where the mask is.
        low: Smallest valid value.
        high: Largest valid value.
    """

    threat: Any
    x: Any
    y: Any
    order: float
    radius: Any
    low: float
    high: float

    @property
    def exact(self):
        """Whether a step along the gradient is the worst of a linear one."""
        reach = np.max(np.abs(self.x)) + np.max(self.radius)
        return np.isinf(self.order) or reach <= min(-self.low, self.high)

    def holds(self, point, example):
        """Whether a point is in an example's set, but for rounding."""
        x = self.x[example].astype(np.float64)
        move, radius = np.abs(point - x), self.radius[example]
        still = np.all(move[radius == 0] <= 1e-6 * (1 + np.abs(x[radius == 0])))
        move = (move / np.maximum(radius, 1e-30))[radius > 0]
        size = np.linalg.norm(move, self.order) if move.size else 0.0
        inside = np.all((self.low <= point) & (point <= self.high))
        return bool(still and inside and size <= 1 + 1e-4)

    def points(self, moves):
        """Float32 points `[moves, batch, ...]` of the threat, by moves of x.

        A move is as long as the norm of it, in units of the radius, says; what
        is too long is shortened.
        """
        x = self.x.astype(np.float64)
        axes = tuple(range(2, moves.ndim))
        size = np.abs(moves)
        if self.order == 1:
            size = size.sum(axes, keepdims=True)
        elif self.order == 2:
            size = np.sqrt((size**2).sum(axes, keepdims=True))
        # Of the ball, leave out what rounding could push out of it.
        shrink = 1.0 if np.isinf(self.order) else 1 - 1e-9
        moves = moves * shrink / np.maximum(size, 1)
        moves = moves * self.radius
        points = np.clip(x + moves, self.low, self.high)
        rounded = points.astype(np.float32)
        farther = np.abs(rounded - x) > np.abs(points - x)
        return np.where(farther, np.nextafter(rounded, self.x), rounded)


def drawn(seed, shape, classes, batch=3):
    """The `Problem` of a seed."""
    rng = np.random.default_rng([seed, 2])
    low, high = RANGES[rng.integers(len(RANGES))]
    x = rng.uniform(-0.2, 1.2, (batch, *shape)).astype(np.float32)
    x = np.clip(x, low, high) * np.float32(255 if high == 255 else 1)
    y = rng.integers(0, classes, batch)
    kind = KINDS[rng.integers(len(KINDS))]
    epsilon = float(rng.choice([0.0, 1e-6, 1 / 64, 1 / 8, 1 / 8, 1 / 2, 0.1]))
    mask = None
    if rng.random() < 0.15:
        mask = (rng.random(shape) < 0.6).astype(np.float32)
    radius = np.full(x.shape, np.float32(epsilon), np.float64)
    common = {"low": low, "high": high, "mask": mask}
    if kind == "box":
        given = (epsilon + 0.25 * rng.random(shape)).astype(np.float32)
        radius = np.broadcast_to(given, x.shape).astype(np.float64)
        threat = threats.Box(given, **common)
    elif kind == "linf":
        given = epsilon
        if rng.random() < 0.1:
            given = (epsilon * rng.random(batch)).astype(np.float32)
            radius = np.reshape(given, [-1] + [1] * len(shape)) * np.ones(
                x.shape
            )
        threat = threats.Linf(given, **common)
    else:
        epsilon *= 2 if kind == "l2" else 4
        radius = np.full(x.shape, np.float32(epsilon), np.float64)
        threat = {"l2": threats.L2, "l1": threats.L1}[kind](epsilon, **common)
    if mask is not None:
        radius = radius * mask
    order = {"l1": 1.0, "l2": 2.0}.get(kind, np.inf)
    return Problem(threat, x, y, order, radius, low, high)


def moves(problem, rng, count):
    """Random moves, in units of the radius: inside, corners, single axes."""
    shape = count, *problem.x.shape
    found = rng.uniform(-1, 1, shape)
    found[::3] = np.sign(found[::3]) * 1.0
    if problem.order < np.inf:
        axes = tuple(range(2, found.ndim))
        length = np.abs(found)
        if problem.order == 1:
            length = length.sum(axes, keepdims=True)
        else:
            length = np.sqrt((length**2).sum(axes, keepdims=True))
        found = found / length
        found[1::3] *= rng.random((len(found[1::3]),) + (1,) * (found.ndim - 1))
        size = int(np.prod(problem.x.shape[1:]))
        flat = found.reshape(count, len(problem.x), size)
        for k in range(2, count, 3):  # One feature alone.
            flat[k] = 0
            flat[k, :, rng.integers(size)] = rng.choice([-1.0, 1.0])
    found[0] = 0
    return found


def steepest(problem, gradient):
    """The move of norm 1 that changes a function of this gradient most."""
    gradient = gradient * problem.radius
    if np.isinf(problem.order):
        return np.sign(gradient)
    axes = tuple(range(2, gradient.ndim))
    if problem.order == 2:
        length = np.sqrt((gradient**2).sum(axes, keepdims=True))
        return gradient / np.maximum(length, 1e-300)
    flat = np.abs(gradient).reshape(*gradient.shape[:2], -1)
    best = np.argmax(flat, -1)
    one = np.eye(flat.shape[-1])[best].reshape(gradient.shape)
    return one * np.sign(gradient)


def grid(problem):
    """A dense grid over the threats of one or two features, ends included."""
    size = int(np.prod(problem.x.shape[1:]))
    if size > 2:
        return np.zeros((0, *problem.x.shape))
    axis = np.linspace(-1, 1, 257 if size == 1 else 33)
    mesh = np.stack(np.meshgrid(*[axis] * size, indexing="ij"), -1)
    mesh = mesh.reshape(-1, 1, *problem.x.shape[1:])
    return np.repeat(mesh, len(problem.x), 1)
