"""What is read of maps: arrays with a number for each feature of x."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.analysis.problem import floats
from tfrobust.types import TensorLike


def rows(maps: TensorLike, name: str = "maps") -> np.ndarray:
    """Returns maps as float64 `[batch, features]` after checking them."""
    found = floats(maps, name)
    return found.reshape(len(found), -1).astype(np.float64)


def pixels(maps: TensorLike, name: str = "maps") -> np.ndarray:
    """The magnitude of each pixel, summed over channels, float64.

    Of maps with four or more axes the last one counts channels.
    """
    magnitude = np.abs(floats(maps, name).astype(np.float64))
    return magnitude.sum(axis=-1) if magnitude.ndim >= 4 else magnitude


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each pair of rows, `[batch]`; NaN where a row is 0."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return divided(np.sum(one * other, axis=1), norms)


def divided(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Quotients; NaN where the divisor is 0."""
    return one / np.where(other == 0, np.nan, other)


def attributed(
    attribution: Callable[..., Any], model: Any, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Returns `attribution(model, x, y)`, of x's shape, after checking it."""
    found = attribution(model, x, y)
    found = np.asarray(getattr(found, "maps", found))
    checks.argument(
        found.shape == x.shape,
        "attribution",
        f"give maps of x's shape, {x.shape}",
        f"a function that gives {found.shape}",
    )
    return found


def same_shape(one: TensorLike, other: TensorLike, names: str) -> None:
    """Refuses two arrays, `"x and maps"`, of different shapes."""
    shapes = np.shape(one), np.shape(other)
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{names} must have the same shape. Received: {shapes[0]} and "
            f"{shapes[1]}."
        )
