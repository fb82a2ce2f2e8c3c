"""One bound of the whole cross entropy."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import register
from tfrobust.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.types import Amount, Model, TensorLike
from tfrobust.verifiers.bounding import Bounding


@register
class LossFusion(Objective):
    """An upper bound of the cross entropy itself, by one backward pass.

    `WorstCase(CROWNIBP(threat))` bounds the margin to each class by itself,
    which takes a row of coefficients for each. The cross entropy is
    `log(sum_j exp(z_j - z_y))`; with a chord above each exponential, between
    the margin's intervals, the sum is below one linear form, and one row
    bounds it. So it takes a fraction of the time where there are many classes,
    and says nothing of margins: no robust accuracy is logged.

    Args:
        verifier: Bounds the form: `CROWNIBP`, or another verifier that bounds
            what it traces.
        mix: Weight of the bound against the clean loss, in [0, 1], or a
            schedule of it; as in `WorstCase`.

    Raises:
        TypeError: If `verifier` is none of these.
        ValueError: If `mix` is a number outside [0, 1]; in training, if the
            loss isn't plain cross entropy.

    Example:
        `LossFusion(tfr.verifiers.CROWNIBP(tfr.threats.Linf(0.1)), mix=0.5)`

    Reference: Xu et al., 2020, arXiv 2002.12920, section 3.4.
    """

    of_classes = True

    def __init__(self, verifier: Bounding, mix: Amount = 1.0):
        example = "tfr.verifiers.CROWNIBP(threat)"
        checks.kind(verifier, Bounding, "verifier", example)
        checks.amount(mix, "mix", low=0, high=1)
        self.verifier, self.mix = verifier, mix

    def adversaries(self) -> dict:
        """None: the bound has no logits."""
        return {}

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        loss = self.loss
        plain = isinstance(loss, losses.CrossEntropy) and not (
            loss.label_smoothing
        )
        expected = "be tfr.losses.CrossEntropy(), which is what is bounded"
        checks.argument(plain, "loss", expected, loss)
        values = self.verifier.traced(model, x, y, self._bounded)
        return self.beside_clean(model, x, y, values, {}, self.mix)

    def _bounded(self, bounds: Bounds, leads: Dense) -> tf.Tensor:
        """An upper bound of each example's cross entropy, `[batch]`.

        Args:
            bounds: Those of the network.
            leads: The forms `z_y - z_j`, `[batch, classes, classes]`.
        """
        behind = Dense(-leads.tensor)
        upper = -bounds.lower_from_intervals(leads)
        lower = tf.minimum(bounds.lower_from_intervals(behind), upper)
        # The largest becomes 0, so that no exponential overflows.
        top = tf.reduce_max(upper, axis=1, keepdims=True)
        top = tf.stop_gradient(top)
        low, high = tf.exp(lower - top), tf.exp(upper - top)
        width = upper - lower
        wide = width > 1e-4
        chord = (high - low) / tf.where(wide, width, 1.0)
        slope = tf.where(wide, chord, high)
        intercept = high - slope * (upper - top)
        form = tf.einsum("bj,bjk->bk", slope, leads.tensor)
        lead = self.verifier.lower(bounds, Dense(form[:, tf.newaxis]))[:, 0]
        above = tf.reduce_sum(intercept - slope * top, axis=1) - lead
        total = tf.minimum(above, tf.reduce_sum(high, axis=1))
        # No less than the label's own term, and rounded up.
        total = (1 + 1e-6) * tf.maximum(total, tf.exp(-top[:, 0]))
        return top[:, 0] + tf.math.log(total)
