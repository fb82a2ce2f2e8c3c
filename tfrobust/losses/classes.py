"""The functions as losses of Keras."""

import tensorflow as tf

from tfrobust.backend import keras, register
from tfrobust.losses.functions import cross_entropy, dlr, kl, margin
from tfrobust.types import TensorLike


@register
class CrossEntropy(keras.losses.Loss):
    """Cross entropy of integer labels and logits, with label smoothing.

    Args:
        label_smoothing: Weight in [0, 1) of the uniform target.

    Example:
        `model.compile("adam", loss=tfr.losses.CrossEntropy(0.1))`
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                "`label_smoothing` must lie in [0, 1). "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
        return cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@register
class Margin(keras.losses.Loss):
    """The `margin` function as a Keras loss.

    Example:
        `tfr.losses.Margin()(y, network(x))`
    """

    def __init__(self, name: str = "margin", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(margin)


@register
class DLR(keras.losses.Loss):
    """The `dlr` function as a Keras loss.

    Example:
        `tfr.losses.DLR()(y, network(x))`
    """

    def __init__(self, name: str = "dlr", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(dlr)


@register
class KL(keras.losses.Loss):
    """The `kl` function as a Keras loss: `y_true` holds reference logits.

    Example:
        `tfr.losses.KL()(network(x), network(x_test))`
    """

    def __init__(self, name: str = "kl", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(kl)
