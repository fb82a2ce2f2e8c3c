"""The largest epsilon that each input is certified for."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import Schedule
from tfrobust.tracing import compiled
from tfrobust.types import Model, TensorLike
from tfrobust.verifier import Verifier
from tfrobust.verifiers.polyhedral_envelope import PolyhedralEnvelope


class CertifiedRadius(NamedTuple):
    """What `certified_radius` found of each input.

    Attributes:
        radius: An epsilon that is certified, shape `[n]`, float32.
        calls: How often the input was bounded, shape `[n]`.
    """

    radius: np.ndarray
    calls: np.ndarray


def certified_radius(
    model: Model,
    x: TensorLike,
    y: TensorLike,
    verifier: Verifier,
    tolerance: float = 1e-4,
    upper: TensorLike | None = None,
    batch_size: int = 128,
) -> CertifiedRadius:
    """Searches the largest epsilon that each input is certified for.

    The upper end is tried first; what isn't certified there is halved. A
    `PolyhedralEnvelope` certifies a part of every epsilon that it is asked
    for, so the search needs fewer calls than with another verifier. Where
    bounds at a smaller epsilon aren't tighter, it may miss the largest one.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in the threat's valid range, shape `[n, ...]`.
        y: Integer labels, shape `[n]`.
        verifier: A `Verifier`, whose threat says all but epsilon.
        tolerance: By how much a radius may be too small, in the units of x.
        upper: The largest epsilon to try, a number or one for each input; that
            of the verifier's threat by default.
        batch_size: Number of examples that are bounded at a time.

    Returns:
        A `CertifiedRadius`. Radii are certified themselves, and 0 for inputs
        that are misclassified; the tolerance is what may be missing.

    Raises:
        TypeError: If `verifier` isn't one.
        ValueError: If `tolerance` or the upper end isn't as expected.

    Example:
        `certified_radius(model, x, y, PolyhedralEnvelope(Linf(0.4))).radius`

    Reference: Liu et al., 2021, arXiv 1912.04792.
    """
    checks.kind(verifier, Verifier, "verifier", "tfr.verifiers.CROWN(threat)")
    x, y = verifier.threat.checked(x).numpy(), np.asarray(y)
    _check(x, y, tolerance)
    high = _upper(verifier.threat.epsilon if upper is None else upper, len(x))

    def at(x, y, epsilon):
        threat = verifier.threat._replace(epsilon=epsilon)
        return _certified(verifier._replace(threat=threat), model, x, y)

    certified = compiled(
        at,
        tf.TensorSpec([None, *x.shape[1:]], tf.float32),
        tf.TensorSpec([None, *y.shape[1:]], y.dtype),
        tf.TensorSpec([None], tf.float32),
    )

    def wrong(x, y):
        logits = model(tf.convert_to_tensor(x), training=False)
        return ~(losses.margin(checks.labels(y, logits), logits) < 0)

    everything = np.arange(len(x))
    high[_in_batches(wrong, batch_size, everything, x, y)] = 0
    low, calls = np.zeros_like(high), np.zeros(len(x), int)
    trial, unsettled = high, np.flatnonzero(high > 0)
    halvings = math.log2(max(1.0, np.max(high, initial=0.0) / tolerance))
    for _ in range(2 + math.ceil(halvings)):
        if len(unsettled) == 0:
            break
        found = _in_batches(certified, batch_size, unsettled, x, y, trial)
        calls[unsettled] += 1
        low[unsettled] = np.maximum(low[unsettled], found)
        failed = unsettled[found < trial[unsettled]]
        high[failed] = trial[failed]
        trial = (low + high) / 2
        unsettled = np.flatnonzero(high - low > tolerance)
    return CertifiedRadius(low, calls)


def _certified(verifier, model, x, y):
    """How much of its epsilon a verifier certifies, shape `[batch]`."""
    if isinstance(verifier, PolyhedralEnvelope):
        return verifier.radius(model, x, y)
    margins = verifier.margins(model, x, y)
    y = tf.reshape(tf.cast(y, tf.int32), [-1])
    true = losses.true_class(y, margins)
    certain = tf.reduce_all(true | (margins > 0), axis=-1)
    return tf.where(certain, verifier.threat.epsilon, 0.0)


def _in_batches(function, batch_size, chosen, *arrays):
    """Applies a function to the chosen rows of arrays, some at a time."""
    starts = range(0, max(1, len(chosen)), batch_size)
    parts = [chosen[start : start + batch_size] for start in starts]
    found = [function(*(a[part] for a in arrays)).numpy() for part in parts]
    return np.concatenate(found)


def _upper(epsilon, count):
    """The upper end of each search, float32."""
    if isinstance(epsilon, Schedule) or np.shape(epsilon) not in ((), (count,)):
        raise ValueError(
            "The search must end at one epsilon, or one for each input. "
            f"Received: {checks.shown(epsilon)}. Pass `upper`."
        )
    if not (np.all(np.isfinite(epsilon)) and np.all(np.less_equal(0, epsilon))):
        raise ValueError(
            "`upper` must be finite and not negative. "
            f"Received: upper={checks.shown(epsilon)}"
        )
    return np.broadcast_to(np.asarray(epsilon, np.float32), [count]).copy()


def _check(x, y, tolerance):
    if len(x) != len(y):
        raise ValueError(
            "`x` and `y` must have the same length. Received: "
            f"{len(x)} inputs and {len(y)} labels."
        )
    if not tolerance > 0:
        raise ValueError(
            f"`tolerance` must be positive. Received: tolerance={tolerance}"
        )
