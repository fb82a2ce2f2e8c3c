"""Polyhedral envelope regularization."""

import tensorflow as tf

from tfrobust import losses
from tfrobust.backend import register
from tfrobust.objectives.objective import Objective, Outcome


@register
class PER(Objective):
    """Clean loss plus gamma times how far hyperplanes are nearer than alpha.

    `gamma * sum(max(0, 1 - distance / alpha))` over the nearest hyperplanes
    that bound where another class may win. Only the first examples of a batch
    are bounded, which takes most of the time; their share of the loss counts
    for the whole batch.

    Args:
        verifier: A `PolyhedralEnvelope`. Its epsilon is how far its bounds
            reach, and follows alpha best.
        alpha: Distance to ask for, in the units of x, or a schedule of it.
        gamma: Weight of the regularization, not negative, or a schedule of it.
        hyperplanes: How many of the nearest hyperplanes count.
        examples: How many examples of a batch are bounded; None for all.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `PER(tfr.verifiers.PolyhedralEnvelope(tfr.threats.Linf(0.1)), 0.1)`

    Reference: Liu et al., 2021, arXiv 1912.04792.
    """

    def __init__(
        self, verifier, alpha, gamma=0.03, hyperplanes=1, examples=None
    ):
        if isinstance(alpha, (int, float)) and not alpha > 0:
            raise ValueError(f"`alpha` must be positive. Received: {alpha}")
        if isinstance(gamma, (int, float)) and not gamma >= 0:
            raise ValueError(f"`gamma` must not be negative. Received: {gamma}")
        for name, count in (
            ("hyperplanes", hyperplanes),
            ("examples", examples),
        ):
            if count is not None and count < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {count}"
                )
        self.verifier, self.alpha, self.gamma = verifier, alpha, gamma
        self.hyperplanes, self.examples = hyperplanes, examples

    def outcome(self, model, x, y, found):
        clean = model(x, training=True)
        clean_loss = losses.per_example(self.loss, y, clean)
        hinge = self._hinge(model, x[: self.examples], y[: self.examples])
        count, bounded = tf.shape(clean_loss)[0], tf.shape(hinge)[0]
        share = tf.cast(count / bounded, tf.float32)
        hinge = tf.pad(share * hinge, [[0, count - bounded]])
        return Outcome(clean_loss + self.gamma * hinge, clean)

    def _hinge(self, model, x, y):
        distances = self.verifier.distances(model, x, y)
        # A schedule of alpha may begin at 0, where nothing is asked for.
        short = 1 - tf.math.divide_no_nan(distances, self.alpha)
        short = tf.where(self.alpha > 0, tf.nn.relu(short), 0.0)
        others = min(self.hyperplanes, distances.shape[-1] - 1)
        return tf.reduce_sum(tf.math.top_k(short, others).values, axis=-1)
