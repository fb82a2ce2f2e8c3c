"""Inputs, moves and radii that every norm is tried on."""

import collections

import numpy as np
import pytest

SHAPE = (6, 2, 4)
LOW, HIGH = -0.5, 1.5

# `scale` is epsilon for each feature, as float64 rows; the rest are float32.
Case = collections.namedtuple(
    "Case", ["x", "moved", "gradient", "epsilon", "scale"]
)

EPSILONS = {
    "number": lambda rng: 0.9,
    "zero": lambda rng: 0.0,
    "example": lambda rng: rng.uniform(0.1, 2, SHAPE[0]).astype(np.float32),
    "feature": lambda rng: rng.uniform(0.1, 2, SHAPE[1:]).astype(np.float32),
    "both": lambda rng: rng.uniform(0.1, 2, SHAPE).astype(np.float32),
}


@pytest.fixture(params=list(EPSILONS))
def case(request):
    """Rows in general position, on the faces, unmoved, and barely moved."""
    rng = np.random.default_rng(7)
    epsilon = EPSILONS[request.param](rng)
    x = rng.uniform(LOW, HIGH, SHAPE)
    x[1] = rng.choice([LOW, HIGH], SHAPE[1:])
    moved = x + rng.normal(size=SHAPE) * 2
    moved[2] = x[2]
    moved[3] = x[3] + 1e-3 * (moved[3] - x[3])
    gradient = rng.normal(size=SHAPE)
    gradient[2] = 0.0
    gradient[4] *= 1e-12
    scale = np.asarray(epsilon, np.float64)
    if scale.ndim == 1:
        scale = scale[:, np.newaxis, np.newaxis]
    return Case(
        *(array.astype(np.float32) for array in (x, moved, gradient)),
        epsilon,
        rows(np.broadcast_to(scale, SHAPE)),
    )


@pytest.fixture
def far():
    """A large image moved far, where float32 sums round the most."""
    rng = np.random.default_rng(8)
    x = rng.uniform(0, 1, (4, 3072)).astype(np.float32)
    return x, (x + rng.normal(size=x.shape)).astype(np.float32)


@pytest.fixture
def room():
    """How far each row may move down and up from `centre`, as float64."""

    def bounds(centre, scale):
        centre = rows(centre).astype(np.float64)
        return np.maximum(LOW - centre, -scale), np.minimum(
            HIGH - centre, scale
        )

    return bounds


def rows(array):
    return np.reshape(np.asarray(array), (len(array), -1))
