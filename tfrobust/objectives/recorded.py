"""Recording how each instance fares."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import register
from tfrobust.instances.slot import Slot
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.wrapper import Wrapper, judged_logits
from tfrobust.types import Model, TensorLike

_SUMS = ("loss", "correct", "entropy")


@register
class Recorded(Wrapper):
    """Remembers loss, correctness and entropy of each instance.

    They are those of the training forward at the adversary's point, or at x
    if there is no adversary: `recorded_loss` and so on of the last visit, and
    `loss_sum` and so on, over `recorded` visits. Training is as without it,
    and no pass is added. `tfr.instances.difficulty` ranks what was recorded.

    Args:
        objective: The objective to record.
        skip: First visits of each instance that the sums leave out.

    Raises:
        TypeError: If `objective` isn't an objective.
        ValueError: If `skip` is negative.

    Example:
        attack = tfr.attacks.PGD(tfr.threats.Linf(8 / 255))
        objective = Recorded(tfr.objectives.WorstCase(attack), skip=10)
        model.compile("sgd", objective=objective)
        model.fit(tfr.instances.Indexed(x, np.arange(len(x))), y, epochs=30)
        difficulty = tfr.instances.difficulty(model)

    Reference: Liu et al., 2021, arXiv 2112.07324, section 3.
    """

    of_classes = True

    def __init__(self, objective: Objective, skip: int = 0):
        self._wrap(objective)
        checks.count(skip, "skip", least=0)
        self.skip = skip

    def _slots(self, shape, classes):
        names = [f"recorded_{n}" for n in _SUMS] + [f"{n}_sum" for n in _SUMS]
        return {name: Slot() for name in [*names, "recorded"]}

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        outcome = self.objective.outcome(model, x, y, found)
        logits = judged_logits(outcome)
        counts = tf.cast(self.rows["visits"] >= self.skip, tf.float32)
        rows = {"recorded": self.rows["recorded"] + counts}
        for name, value in self._values(y, logits).items():
            rows[f"recorded_{name}"] = value
            rows[f"{name}_sum"] = self.rows[f"{name}_sum"] + counts * value
        return outcome._replace(rows={**outcome.rows, **rows})

    def _values(self, y, logits):
        """What is recorded by name, each `[batch]`."""
        labels, logits = losses.class_labels(y, logits)
        predicted = tf.argmax(logits, axis=1, output_type=tf.int32)
        share = tf.nn.softmax(logits) * tf.nn.log_softmax(logits)
        return {
            "loss": losses.per_example(self.loss, y, logits),
            "correct": tf.cast(predicted == labels, tf.float32),
            "entropy": -tf.reduce_sum(share, axis=1),
        }
