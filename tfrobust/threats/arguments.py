"""What a threat is made of, checked where it is written."""

import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import Schedule
from tfrobust.types import TensorLike


def ends(low: TensorLike, high: TensorLike) -> tuple[Any, Any]:
    """Returns the ends of a range, of each feature if one has several.

    Of features some may be the same for all examples, such as a column of ones.
    """
    found = [_end(name, end) for name, end in (("low", low), ("high", high))]
    try:
        fine = bool(np.all(np.less_equal(*found)) and np.any(np.less(*found)))
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(
            "`low` must be below `high`, and both be one number or arrays of "
            f"one shape, (features,). Received: [{low}, {high}]"
        )
    return found[0], found[1]


def _end(name, end):
    if isinstance(end, numbers.Real) and not isinstance(end, bool):
        return end
    found = np.asarray(end)
    fits = found.dtype.kind in "iuf" and found.ndim and np.size(found)
    if not fits or np.any(np.isnan(found)):
        raise TypeError(
            f"`{name}` must be one number for all features, or an array of one "
            "for each, shape (features,), infinite if there is no limit. "
            f"Received: {name}={end!r}"
        )
    # One axis is that of features, never of examples.
    return (found[np.newaxis] if found.ndim == 1 else found).astype(np.float32)


def mask(given: TensorLike) -> np.ndarray:
    """Returns a mask as float32, which must hold zeros and ones."""
    found = np.asarray(given)
    if not np.all(np.isin(found, (0, 1))):
        raise ValueError(
            "`mask` must be 1 where an input may be perturbed and 0 "
            f"elsewhere. Received: mask={given}"
        )
    # One axis is that of features, never of examples.
    found = found[np.newaxis] if found.ndim == 1 else found
    return found.astype(np.float32)


def epsilon(given: TensorLike | Schedule) -> Any:
    """Returns epsilon as a float or float32, or what gives it later."""
    if isinstance(given, (Schedule, tf.Tensor, tf.Variable)):
        return given
    found = np.asarray(given)
    if found.dtype.kind not in "iuf":
        raise TypeError(
            "`epsilon` must be a number, an array of numbers or a schedule. "
            f"Received: epsilon={given!r}"
        )
    if not np.all(np.isfinite(found)) or np.min(found) < 0:
        raise ValueError(
            "`epsilon` must be finite and not negative. "
            f"Received: epsilon={given}"
        )
    return found.astype(np.float32) if found.ndim else float(found)


def against(
    x: tf.Tensor, epsilon: TensorLike | Schedule, mask: np.ndarray | None
) -> tf.Tensor:
    """Returns epsilon so that it broadcasts against x, as the mask must."""
    if isinstance(epsilon, Schedule):
        raise ValueError(
            "`epsilon` is a schedule, which has a value only at a step. "
            f"Received: epsilon={epsilon!r}. Evaluate against one number, such "
            "as threat.replace(epsilon=0.3), or resolve it by .at(step)."
        )
    found = tf.cast(epsilon, tf.float32)
    given, rank = found.shape, len(x.shape)
    if given.rank == 1:
        found = tf.reshape(found, [-1] + [1] * (rank - 1))
    if given.rank not in (0, 1, rank - 1, rank) or not checks.broadcasts(
        found.shape, x.shape
    ):
        raise ValueError(
            "`epsilon` must be a number, one number for each example, of "
            f"shape {x.shape[:1]}, or one for each feature, of shape "
            f"{[1, *x.shape[1:]]}. Received shape {given}. For features pass "
            "epsilon[np.newaxis], or tfr.threats.Box(epsilon)."
        )
    if mask is not None and not checks.broadcasts(mask.shape, x.shape):
        raise ValueError(
            "`mask` must broadcast against x, of shape "
            f"{x.shape}. Received shape {tuple(mask.shape)}."
        )
    return found
