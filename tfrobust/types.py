"""Types of the arguments that every room takes."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

# What TensorFlow converts: a tensor, an array, numbers.
TensorLike: TypeAlias = tf.Tensor | np.ndarray | float | list
# Any callable `model(x, training=False) -> logits`, a Keras model among them.
Model: TypeAlias = Callable[..., Any]
# A file or a folder.
Path: TypeAlias = str | os.PathLike
# A number, or a Keras learning-rate schedule, which has one at each step.
Amount: TypeAlias = Any
# A Keras loss on logits, or a function `(y, logits) -> [batch]`.
Loss: TypeAlias = Callable[..., Any]

__all__ = ["Amount", "Loss", "Model", "Path", "TensorLike"]
