"""What a threat is made of, checked where it is written."""

import numbers

import numpy as np
import tensorflow as tf

from tfrobust.backend import Schedule


def check_range(low, high):
    """Refuses what is no range of numbers, the same for all features."""
    for name, end in {"low": low, "high": high}.items():
        if not isinstance(end, numbers.Real) or isinstance(end, bool):
            raise TypeError(
                f"`{name}` must be one number for all features, infinite if "
                f"there is no limit. Received: {name}={end!r}. Give features "
                "of several ranges one range by a layer inside the model."
            )
    if not low < high:
        raise ValueError(
            f"`low` must be below `high`. Received: [{low}, {high}]"
        )


def mask(given):
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


def epsilon(given):
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
