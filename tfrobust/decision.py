"""What a verifier says of each example."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import losses
from tfrobust.types import TensorLike

CERTIFIED, FALSIFIED, UNKNOWN = "certified", "falsified", "unknown"


class Decision(NamedTuple):
    """What a verifier says of each example.

    Attributes:
        certified: Whether no point of the threat is wrong, `[batch]`, bool.
        falsified: Whether `point` is one that the network gets wrong.
        margin: A lower bound on the true logit minus the largest other one
            over the threat; NaN where there is none since the verifier is
            broken there, `[batch]`.
        point: Points of the threat, of x's shape, or None of a verifier that
            looks for none.
    """

    certified: Any
    falsified: Any
    margin: Any
    point: Any = None

    @property
    def verdict(self) -> np.ndarray:
        """`"certified"`, `"falsified"` or `"unknown"`, shape `[batch]`."""
        certified = np.where(np.asarray(self.certified), CERTIFIED, UNKNOWN)
        return np.where(np.asarray(self.falsified), FALSIFIED, certified)


def from_margins(margins: TensorLike, y: TensorLike) -> Decision:
    """What follows from lower bounds on `logit_y - logit_j`.

    Minus infinity says nothing; NaN and infinity are defects.

    Args:
        margins: Shape `[batch, classes]`.
        y: Integer labels, shape `[batch]`.
    """
    margins = tf.cast(margins, tf.float32)
    y = tf.cast(tf.reshape(y, [-1]), tf.int32)
    true = losses.true_class(y, margins)
    least = tf.reduce_min(tf.where(true, math.inf, margins), axis=1)
    sane = tf.reduce_all(margins < math.inf, axis=1)
    margin = tf.where(sane, least, math.nan)
    # A tie proves nothing.
    return Decision(margin > 0, tf.zeros_like(sane), margin)
