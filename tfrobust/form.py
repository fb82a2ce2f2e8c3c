"""The form in which objectives and adversaries see a network and its loss."""

from typing import Any

import tensorflow as tf

from tfrobust import backend, losses, metrics
from tfrobust.backend import keras
from tfrobust.two_logits import TwoLogits, has_one, one_logit, two_logits
from tfrobust.types import Loss, TensorLike


class Form:
    """What objectives and adversaries see of a network and its loss.

    One logit of two classes is seen as two, `[0, z]`, whose cross entropy is
    the binary one. Metrics see what the network answers.

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
        self.loss = self.metric_loss = loss
        if self._one and binary:
            config: dict[str, Any] = getattr(loss, "get_config", dict)()
            smoothing = config.get("label_smoothing", 0.0)
            self.loss = losses.CrossEntropy(smoothing)
        elif self._one:
            self.metric_loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self._seen: dict[int, Any] = {}

    def network(self, network: keras.Model) -> keras.Model:
        """The network as objectives and adversaries see it."""
        if not self._one:
            return network
        if id(network) not in self._seen:
            self._seen[id(network)] = TwoLogits(network)
        return self._seen[id(network)]

    def outputs(self, logits: TensorLike) -> tf.Tensor:
        """What metrics see of logits that an adversary gave."""
        return one_logit(logits) if self._one else logits

    def shown_loss(self, y: TensorLike, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of what metrics see, `[batch]`."""
        outputs = two_logits(outputs) if self._one else outputs
        return losses.per_example(self.loss, y, outputs)
