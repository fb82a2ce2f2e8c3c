"""Self-adaptive training."""

from typing import Any

import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.backend import register
from tfrobust.instances.slot import Slot
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.objectives.wrapper import Wrapper
from tfrobust.types import Model, TensorLike

_TARGETS = "targets"


@register
class SelfAdaptive(Wrapper):
    """Targets that follow the model's predictions of each instance.

    `t = momentum * t + (1 - momentum) * p`, from the label on; the objective
    inside takes the cross entropy of `share * label + (1 - share) * t`. p is
    the prediction that the objective takes its loss of first: the clean one in
    `TRADES`, the worst one in `WorstCase` and `ATTA`. Attacks keep to the
    label. No pass is added.

    Args:
        objective: The objective to wrap, one that applies the loss it is
            compiled with: `WorstCase`, `TRADES`, `ATTA`, ...
        momentum: Of the targets, in [0, 1].
        share: Of the label in the targets, in [0, 1].
        warmup: Visits of an instance whose target is the label.
        weighted: Whether examples weigh as much as the largest entry of t,
            divided by its mean over the batch.

    Raises:
        TypeError: If `objective` isn't an objective.
        ValueError: If a number is out of its range; in training, if the loss
            isn't a cross entropy.

    Example:
        `SelfAdaptive(tfr.objectives.TRADES(attack))`, and as in Liu et al.:
        `SelfAdaptive(tfr.objectives.ATTA(threat), share=0.1, weighted=False)`

    Reference: Huang et al., 2020, arXiv 2002.10319, algorithm 1; Liu et al.,
    2021, arXiv 2112.07324, section 6.
    """

    of_classes = True

    def __init__(
        self,
        objective: Objective,
        momentum: float = 0.9,
        share: float = 0.0,
        warmup: int = 5,
        weighted: bool = True,
    ):
        self._wrap(objective)
        checks.number(momentum, "momentum", 0, 1)
        checks.number(share, "share", 0, 1)
        checks.count(warmup, "warmup", least=0)
        self.momentum, self.share = momentum, share
        self.warmup, self.weighted = warmup, weighted

    def _slots(self, shape, classes):
        return {_TARGETS: Slot((classes,))}

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        if not losses.reads_classes(self.loss):
            raise ValueError(
                "SelfAdaptive needs a loss of class labels, such as "
                f"tfr.losses.CrossEntropy(). Received: {self.loss!r}"
            )
        loss = _Adaptive(self)
        inner = self.objective.bind(loss)
        outcome = inner.outcome(model, x, y, found)
        if loss.targets is None:
            raise ValueError(
                "SelfAdaptive needs an objective that applies the loss of "
                f"`compile`. Received: {self.objective!r}. Pass WorstCase, "
                "TRADES or ATTA."
            )
        rows = {**outcome.rows, _TARGETS: loss.targets}
        return outcome._replace(rows=rows)


class _Adaptive:
    """The loss of one batch, whose first prediction moves the targets."""

    def __init__(self, objective):
        self.objective, self.targets = objective, None

    def __call__(self, y, logits):
        labels, logits = losses.class_labels(y, logits)
        onehot = tf.one_hot(labels, logits.shape[-1])
        if self.targets is None:
            self.targets = self._moved(onehot, logits)
        now = self.objective
        target = now.share * onehot + (1 - now.share) * self.targets
        values = -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=1)
        if not now.weighted:
            return values
        weight = tf.reduce_max(self.targets, axis=1)
        return values * weight / tf.reduce_mean(weight)

    def _moved(self, onehot, logits):
        now, visits = self.objective, self.objective.rows["visits"]
        early = (visits <= now.warmup)[:, tf.newaxis]
        old = tf.where(early, onehot, now.rows[_TARGETS])
        predicted = tf.stop_gradient(tf.nn.softmax(logits))
        new = now.momentum * old + (1 - now.momentum) * predicted
        return tf.where((visits < now.warmup)[:, tf.newaxis], onehot, new)
