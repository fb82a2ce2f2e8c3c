"""The loss of several outputs that are one array."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust import losses
from tfrobust.backend import keras, register
from tfrobust.types import Loss, TensorLike


@register
class JoinedLoss(keras.losses.Loss):
    """The weighted sum of a loss for each of several outputs.

    `Joined.loss_of` makes it, and `Joined.targets` what it compares with.

    Args:
        parts: Keras losses, or functions, on logits.
        sizes: How many columns of the outputs each reads.
        weights: Of each.
        name: Name of the loss.
    """

    # Attacks ascend it: its targets are classes of none that is one output.
    of_columns = True

    def __init__(
        self,
        parts: Sequence[Loss],
        sizes: Sequence[int],
        weights: Sequence[float],
        name: str = "joined_loss",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.parts, self.sizes = list(parts), list(sizes)
        self.weights = list(weights)

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
        y, outputs = (tf.convert_to_tensor(v) for v in (y_true, y_pred))
        total, of_y, begin = 0.0, 0, 0
        for loss, size, weight in zip(
            self.parts, self.sizes, self.weights, strict=True
        ):
            width = 1 if losses.reads_classes(loss) else size
            part = losses.per_example(
                loss,
                y[:, of_y : of_y + width],
                outputs[:, begin : begin + size],
            )
            total += weight * part
            of_y, begin = of_y + width, begin + size
        return total

    def get_config(self) -> dict[str, Any]:
        parts = map(keras.saving.serialize_keras_object, self.parts)
        own = {"parts": list(parts), "sizes": self.sizes}
        return {**super().get_config(), **own, "weights": self.weights}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "JoinedLoss":
        parts = map(keras.saving.deserialize_keras_object, config["parts"])
        return cls(**{**config, "parts": list(parts)})
