"""Gradients through what has none."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.backend import keras, register


@register
class Substitute(keras.layers.Layer):
    """A layer whose gradient is that of a stand-in (BPDA).

    Rounding, sampling, compression and whatever else has no gradient, or a
    useless one, hides from attacks where to go, which is no robustness. Put
    this in its place when a network is attacked: what it computes is, to the
    bit, what the layer computes; the gradient by its input is that of
    `backward` at the same input. Use it for evaluation: no gradient reaches
    the weights of the layer.

    Args:
        layer: The Keras layer, or any callable of a tensor, that is computed.
        backward: The stand-in, likewise, of the same output shape; None for
            the identity, as for rounding.

    Call arguments:
        inputs: What the layer takes, one tensor.

    Raises:
        ValueError: When called, if the outputs differ in shape.

    Example:
        `Substitute(tf.round)(x)`

    Reference: Athalye et al., 2018, arXiv 1802.00420, section 4.1.
    """

    def __init__(
        self,
        layer: Any,
        backward: Callable | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in {"layer": layer, "backward": backward}.items():
            if value is not None and not callable(value):
                raise TypeError(
                    f"`{name}` must be a Keras layer or a function of a "
                    f"tensor. Received: {value!r}"
                )
        self.layer, self.backward = layer, backward

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        found = tf.convert_to_tensor(self.layer(inputs))
        stand_in = inputs if self.backward is None else self.backward(inputs)
        stand_in = tf.cast(stand_in, found.dtype)
        if not found.shape.is_compatible_with(stand_in.shape):
            raise ValueError(
                "`backward` must return the shape of what the layer returns, "
                f"{tuple(found.shape)}. Received: {tuple(stand_in.shape)}."
            )
        # The difference is exactly 0, and has the gradient.
        nothing = stand_in - tf.stop_gradient(stand_in)
        return tf.stop_gradient(found) + nothing

    def get_config(self) -> dict[str, Any]:
        parts = {"layer": self.layer, "backward": self.backward}
        return super().get_config() | {
            name: keras.saving.serialize_keras_object(part)
            for name, part in parts.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Substitute":
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("layer", "backward")
        }
        return cls(**{**config, **parts})
