"""What counts say of a probability."""

import numpy as np
import tensorflow as tf

# Halvings of [0, 1]: beyond what float64 tells apart near 1.
_STEPS = 60
# By how much the incomplete beta function may be off, and more.
_OFF = 1e-9


def tail(
    count: np.ndarray, total: np.ndarray, share: np.ndarray | float
) -> np.ndarray:
    """The probability of at least `count` of `total` draws, each of `share`.

    Args:
        count: Integers from 1 on, shape `[...]`.
        total: Integers not below `count`, shape `[...]`.
        share: Probabilities, shape `[...]`.
    """
    count, total = (np.asarray(part, np.float64) for part in (count, total))
    share = np.broadcast_to(np.asarray(share, np.float64), count.shape)
    return np.asarray(tf.math.betainc(count, total - count + 1, share))


def lower_bound(
    count: np.ndarray, total: np.ndarray, alpha: float
) -> np.ndarray:
    """The lower end of the exact one-sided interval of a probability.

    With probability `1 - alpha` or more the true one isn't below.

    Args:
        count: How often it happened, integers `[n]`.
        total: Of how many draws, integers `[n]`.
        alpha: Probability of error, in (0, 1).

    Returns:
        Shape `[n]`, float64.

    Reference: Clopper and Pearson, 1934, Biometrika 26(4).
    """
    count = np.asarray(count)
    total = np.broadcast_to(total, count.shape)
    low, high = np.zeros(count.shape), np.ones(count.shape)
    some = np.maximum(count, 1)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        unlikely = tail(some, total, middle) <= alpha
        low = np.where(unlikely, middle, low)
        high = np.where(unlikely, high, middle)
    return np.where(count > 0, np.maximum(low - _OFF, 0.0), 0.0)


def decided(first: np.ndarray, second: np.ndarray, alpha: float) -> np.ndarray:
    """Whether the first of two classes is the likelier one, bool `[n]`.

    By the two-sided binomial test of both counts against one half.
    """
    total = np.maximum(first + second, 1)
    some = np.maximum(first, 1)
    chance = np.minimum(2 * tail(some, np.maximum(total, some), 0.5), 1.0)
    return (first > second) & (chance <= alpha)
