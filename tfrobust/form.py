"""The form in which objectives and adversaries see a network and its loss."""

from typing import Any

import tensorflow as tf

from tfrobust import backend, losses, metrics
from tfrobust.ascending import (
    as_classes,
    ascending,
    of_keras,
    of_two_logits,
    refuse_of_classes,
)
from tfrobust.backend import keras
from tfrobust.objectives import Objective
from tfrobust.two_logits import TwoLogits, has_one, one_logit, two_logits
from tfrobust.types import Loss, TensorLike


class Form:
    """What objectives and adversaries see of a network and its loss.

    Where a loss compares outputs with other targets than classes, attacks
    ascend that loss. One logit of two classes is seen as two, `[0, z]`, whose
    cross entropy is the binary one. Metrics see what the network answers.

    Args:
        network: The network.
        loss: The loss that `compile` resolved.

    Attributes:
        loss: What objectives apply.
        metric_loss: What metrics are chosen by.

    Raises:
        ValueError: If the loss reads logits and the network ends in a sigmoid.
    """

    def __init__(self, network: keras.Model, loss: Loss):
        targets = metrics.targets(loss)
        if targets:
            backend.refuse_head(network, "sigmoid")
        binary = type(loss) is keras.losses.BinaryCrossentropy
        self._one = has_one(network) and (binary or targets == "classes")
        self._rows = targets == "rows"
        self._ascends = not self._one and _own(network, loss, targets)
        self.loss = self.metric_loss = loss
        if self._one:
            self.loss = as_classes(loss)
        if self._one and not binary:
            self.metric_loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self._seen: dict[int, Any] = {}

    def network(self, network: keras.Model) -> keras.Model:
        """The network as objectives and adversaries see it."""
        if not self._one:
            return network
        if id(network) not in self._seen:
            self._seen[id(network)] = TwoLogits(network)
        return self._seen[id(network)]

    def part(self, part: Any) -> Any:
        """An adversary or objective, whose attacks ascend what they must.

        Raises:
            ValueError: If it asks which class wins, and there are none.
        """
        if self._one:
            return of_two_logits(part)
        if not self._ascends:
            return part
        if isinstance(part, Objective):
            if self._rows and part.of_classes:
                return part  # Rows of probabilities are of classes too.
            refuse_of_classes(part, self.loss)
        return ascending(part, self.loss)

    def outputs(self, logits: TensorLike) -> tf.Tensor:
        """What metrics see of logits that an adversary gave."""
        return one_logit(logits) if self._one else logits

    def shown_loss(self, y: TensorLike, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of what metrics see, `[batch]`."""
        outputs = two_logits(outputs) if self._one else outputs
        return losses.per_example(self.loss, y, outputs)


def _own(network, loss, targets):
    """Whether a loss compares with no classes, for all that is known of it.

    A function of the user's may read classes, unless there is one output.
    """
    if targets or has_one(network):
        return targets != "classes"
    return of_keras(loss)
