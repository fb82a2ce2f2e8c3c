"""Several networks as one model: the mean of their probabilities."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import backend, checks
from tfrobust.averaging import network_of
from tfrobust.backend import keras, register
from tfrobust.types import Model


@register
class EnsembleModel(keras.Model):
    """The logarithm of the mean probability of its members; see `ensemble`."""

    def __init__(
        self,
        members: Sequence[keras.Model],
        name: str = "ensemble",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.members = list(members)
        shape = getattr(self.members[0], "input_shape", None)
        if shape is not None:
            self(keras.Input(shape[1:]))

    def call(self, inputs: tf.Tensor, training: Any = False) -> tf.Tensor:
        logits = [member(inputs, training=training) for member in self.members]
        units = {int(values.shape[-1]) for values in logits}
        checks.argument(
            len(units) == 1 and min(units) > 1,
            "models",
            "give logits of the same classes, at least two",
            f"models of {sorted(units)} outputs",
        )
        # log(e^a + e^b) = b + softplus(a - b), which can't overflow and whose
        # parts verifiers know.
        total, *others = (
            tf.nn.log_softmax(tf.cast(values, tf.float32)) for values in logits
        )
        for other in others:
            total = other + tf.nn.softplus(total - other)
        return total - math.log(len(logits))

    def get_config(self) -> dict[str, Any]:
        members = map(keras.saving.serialize_keras_object, self.members)
        return {"name": self.name, "members": list(members)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "EnsembleModel":
        members = [
            keras.saving.deserialize_keras_object(
                member, custom_objects=custom_objects
            )
            for member in config["members"]
        ]
        return cls(**{**config, "members": members})


def ensemble(models: Sequence[Model], name: str = "ensemble") -> EnsembleModel:
    """Makes one model of several: its probabilities are the mean of theirs.

    Its logits are `log(mean_k softmax(z_k))`, so that cross entropy is that of
    the mean probability, and attacks see the gradient of what is deployed:
    `argmax` of the logits. It is a Keras model like any other, to be attacked,
    evaluated, certified, saved and exported, or trained on as one in a
    `RobustModel`. Weights are shared with the members, not copied.

    Args:
        models: Two or more Keras models of logits, shape `[batch, classes]`,
            of the same input and classes, or `RobustModel`s of such.
        name: Name of the model.

    Returns:
        A Keras model of logits, shape `[batch, classes]`, float32.

    Raises:
        TypeError: If one of `models` isn't a model of the Keras in use.
        ValueError: If there are fewer than two, one appears twice, one ends
            in a softmax, or their inputs or numbers of classes differ.

    Example:
        ```
        # Trained apart, or at the ends of a schedule's periods.
        model = tfr.ensemble([one, other])
        report = tfr.evaluate(model, (x_test, y_test), {"pgd": pgd})
        ```

    Reference: Liu et al., 2020, arXiv 2006.08403, section 5.
    """
    networks: list[keras.Model] = []
    for model in models:
        with network_of(model) as network:
            backend.check_network(network)
            networks.append(network)
    several = len({id(network) for network in networks}) == len(networks) > 1
    expected = "be at least two, each another one"
    checks.argument(several, "models", expected, networks)
    shapes = [getattr(network, "input_shape", None) for network in networks]
    known = [tuple(shape) for shape in shapes if shape is not None]
    checks.argument(
        len(set(known)) <= 1, "models", "take the same input", known
    )
    return EnsembleModel(networks, name=name)
