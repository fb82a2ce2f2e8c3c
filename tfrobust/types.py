"""Types of the arguments that every room takes."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

# What TensorFlow converts: a tensor, an array, numbers.
TensorLike: TypeAlias = tf.Tensor | np.ndarray | float | list
# Any callable `model(x, training=False) -> logits`, a Keras model among them.
Model: TypeAlias = Callable[..., Any]

__all__ = ["Model", "TensorLike"]
