"""Segments between increasing steps."""

import itertools
import math
from collections.abc import Sequence

import tensorflow as tf

from tfrobust import checks
from tfrobust.types import TensorLike


def segment(edges: TensorLike, step: TensorLike) -> tuple[tf.Tensor, tf.Tensor]:
    """Which segment between `edges` the step is in, and how far it is."""
    edges = tf.convert_to_tensor(edges, tf.float32)
    step = tf.clip_by_value(tf.cast(step, tf.float32), edges[0], edges[-1])
    index = tf.searchsorted(edges, [step], side="right")[0] - 1
    index = tf.minimum(index, edges.shape[0] - 2)
    begin, end = edges[index], edges[index + 1]
    return index, (step - begin) / (end - begin)


def check_sorted(name: str, steps: Sequence[float]) -> None:
    """Refuses what are no increasing steps."""
    fine = len(steps) > 1 and math.isfinite(steps[-1] - steps[0])
    fine &= all(a < b for a, b in itertools.pairwise(steps))
    checks.argument(fine, name, "be at least two increasing steps", list(steps))
