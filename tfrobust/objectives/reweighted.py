"""Weighting examples by how sure the model is of them."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import register
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.wrapper import Wrapper, judged_logits
from tfrobust.types import Model, TensorLike

_BY = ("clean", "worst", "largest")


@register
class Reweighted(Wrapper):
    """Weighs the losses of a batch by the model's probabilities.

    `sum(w * loss) / sum(w)`, where no gradient flows through w: hard examples
    count for less.

    Args:
        objective: The objective to wrap.
        by: `"clean"`: the probability of the label at x, which takes one more
            forward pass where the objective doesn't compute it; `"worst"`: at
            the adversary's point; `"largest"`: that of the likeliest class at
            the adversary's point.
        complement: Whether the weight is 1 minus that probability.
        warmup: Visits of an instance that count in full. Without an index,
            which a warm-up needs, it must be 0.

    Raises:
        TypeError: If `objective` isn't an objective.
        ValueError: If `by` is unknown or `warmup` negative.

    Example:
        `Reweighted(tfr.objectives.ATTA(threat), by="clean")`

    Reference: Liu et al., 2021, arXiv 2112.07324, section 6.
    """

    reports = ("weight",)

    of_classes = True

    def __init__(
        self,
        objective: Objective,
        by: str = "clean",
        complement: bool = False,
        warmup: int = 0,
    ):
        self._wrap(objective)
        expected = f"be one of {', '.join(_BY)}"
        checks.argument(by in _BY, "by", expected, by)
        checks.count(warmup, "warmup", least=0)
        self.by, self.complement, self.warmup = by, complement, warmup

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        outcome = self.objective.outcome(model, x, y, found)
        weight = self._weight(model, x, y, outcome)
        total = tf.reduce_sum(weight)
        count = tf.cast(tf.size(weight), tf.float32)
        share = tf.math.divide_no_nan(weight * count, total)
        return outcome._replace(
            losses=share * outcome.losses,
            reported={**outcome.reported, "weight": weight},
        )

    def _weight(self, model, x, y, outcome):
        if self.by == "clean":
            logits = outcome.clean
            logits = model(x, training=False) if logits is None else logits
        else:
            logits = judged_logits(outcome)
        labels, logits = losses.class_labels(y, tf.stop_gradient(logits))
        probabilities = tf.nn.softmax(logits)
        if self.by == "largest":
            weight = tf.reduce_max(probabilities, axis=1)
        else:
            weight = tf.gather(probabilities, labels, batch_dims=1)
        weight = 1 - weight if self.complement else weight
        if self.warmup == 0:
            return weight
        return tf.where(self._visits() < self.warmup, 1.0, weight)

    def _visits(self):
        if "visits" not in self.rows:
            raise ValueError(
                "`warmup` counts visits of each instance, which only an "
                "objective that remembers knows. Received: "
                f"warmup={self.warmup} around {self.objective!r}. Wrap "
                "tfr.objectives.Recorded(objective), or pass warmup=0."
            )
        return self.rows["visits"]
