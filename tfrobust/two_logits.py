"""One logit of two classes, seen as two."""

from typing import Any

import tensorflow as tf

from tfrobust.backend import keras, register, restored
from tfrobust.types import TensorLike


def two_logits(outputs: tf.Tensor) -> tf.Tensor:
    """One logit z, `[batch, 1]`, as `[0, z]`; other outputs as they are.

    The softmax of both has the probability `sigmoid(z)` of class 1.
    """
    if outputs.shape.rank != 2 or outputs.shape[-1] != 1:
        return outputs
    # One linear op, which every verifier bounds without loss.
    return tf.matmul(outputs, tf.constant([[0.0, 1.0]], outputs.dtype))


def one_logit(logits: TensorLike) -> tf.Tensor:
    """The logit of class 1 against class 0, `[batch, 1]`, of two."""
    logits = tf.convert_to_tensor(logits)
    return logits[:, 1:] - logits[:, :1]


def has_one(network: Any) -> bool:
    """Whether a network is known to answer with one number, `[batch, 1]`."""
    shape = getattr(network, "output_shape", None)
    return isinstance(shape, tuple) and len(shape) == 2 and shape[-1] == 1


@register
class TwoLogits(keras.Model):
    """A network of one logit as one of two, which shares its weights.

    Args:
        network: A Keras model of outputs `[batch, 1]`.
        name: Name of the model.
    """

    def __init__(
        self, network: keras.Model, name: str = "two_logits", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.network = network
        shape = getattr(network, "input_shape", None)
        if isinstance(shape, tuple):
            self(keras.Input(shape[1:]))

    def call(self, inputs: tf.Tensor, training: Any = False) -> tf.Tensor:
        return two_logits(self.network(inputs, training=training))

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {"name": self.name, "network": network}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "TwoLogits":
        return cls(**restored(config, custom_objects, "network"))
