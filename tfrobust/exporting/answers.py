"""What a model that is exported answers with, by the loss it was trained on."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust import metrics
from tfrobust.two_logits import TwoLogits, has_one


class Answers(NamedTuple):
    """What the outputs of a model are.

    Attributes:
        kind: `"classes"`; `"labels"`, each of which is there or not; or
            `"numbers"`, of a regression.
        one_logit: Whether one logit stands for two classes.
    """

    kind: str = "classes"
    one_logit: bool = False

    @classmethod
    def of(cls, model: Any) -> "Answers":
        """What a model was compiled for; classes, if it wasn't."""
        loss = getattr(model, "trained_loss", None)
        if loss is None:
            return CLASSES
        targets = metrics.targets(loss)
        if targets in ("classes", "bits") and has_one(model.network):
            return cls(one_logit=True)
        kinds = {"bits": "labels", None: "numbers"}
        return cls(kinds.get(targets, "classes"))

    def network(self, network):
        """The network that is served, of two logits where there is one."""
        if not self.one_logit:
            return network
        return TwoLogits(network, name=network.name)

    def named(self, outputs):
        """The outputs of `serving_default`, by name."""
        if self.kind == "numbers":
            return {"outputs": outputs}
        if self.kind == "labels":
            return {
                "logits": outputs,
                "probabilities": tf.sigmoid(outputs),
                "labels": tf.cast(outputs > 0, tf.int64),
            }
        return {
            "logits": outputs,
            "probabilities": tf.nn.softmax(outputs),
            "class": tf.argmax(outputs, axis=-1),
        }

    def check(self, certify, data, attack):
        """Refuses what asks which class wins, where there are none."""
        asked = {"certify": certify, "data": data, "attack": attack}
        for name, value in asked.items():
            if self.kind != "classes" and value is not None:
                raise ValueError(
                    f"`{name}` asks which class wins, and the model was "
                    f"compiled for {self.kind}. Leave it out; "
                    "tfr.evaluate and tfr.certify take such models."
                )


CLASSES = Answers()
