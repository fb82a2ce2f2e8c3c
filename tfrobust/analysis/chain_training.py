"""Training of the control points of a curve."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import augmentation, losses
from tfrobust.analysis.chain import Chain
from tfrobust.analysis.risk import Risk, dense_gradient
from tfrobust.analysis.traced import traced
from tfrobust.backend import keras


class ChainTraining:
    """Steps down the loss at random places of a curve.

    Args:
        risk: The network, the data, the loss and the attack.
        points: Where the control points begin, of which the ends stay.
        curve: `"bezier"` or `"polygon"`.
        optimizer: A Keras optimizer, its name, or None.
        seed: Integer that keys places and shuffling.
    """

    def __init__(
        self,
        risk: Risk,
        points: list[list[np.ndarray]],
        curve: str,
        optimizer: Any,
        seed: int,
    ) -> None:
        self._risk, self._ends, self._curve = (
            risk,
            (points[0], points[-1]),
            curve,
        )
        self._random = np.random.default_rng(seed)
        self._inner = [_Point(point) for point in points[1:-1]]
        self._optimizer = _copy(optimizer)
        # Random layers that move the image come before the attack.
        split = risk.attack and augmentation.split(risk.network)
        self._front, self._rest = split or ([], risk.network)
        self._steps: Any = None

    def points(self) -> list[list[np.ndarray]]:
        """The control points as they are now."""
        inner = [point.values() for point in self._inner]
        return [list(self._ends[0]), *inner, list(self._ends[1])]

    def epoch(self) -> float:
        """Takes a step for each batch, and returns the mean loss."""
        total, count = 0.0, 0
        for x, y in self._risk.clean(self._order()):
            total += self._step(x, y) * len(x)
            count += len(x)
        return total / count

    def _order(self):
        """A new order of the examples of arrays; None leaves a dataset's."""
        data = self._risk.data
        if isinstance(data, tf.data.Dataset):
            return None
        return self._random.permutation(len(data[0]))

    def _step(self, x, y):
        chain, t = Chain(self.points(), self._curve), self._random.random()
        for variable, value in zip(
            self._risk.variables, chain.at(t), strict=True
        ):
            variable.assign(value)
        if self._steps is None:
            specs = [
                tf.TensorSpec([None, *p.shape[1:]], p.dtype) for p in (x, y)
            ]
            self._steps = (
                traced(self._moved, *specs),
                traced(self._slope, *specs),
            )
        value, *slope = self._steps[1](self._steps[0](x, y), y)
        pairs = [
            (share * part, weight)
            for share, point in zip(
                chain.shares(t)[1:-1], self._inner, strict=True
            )
            for part, weight in zip(slope, point.parts, strict=True)
        ]
        if pairs:
            self._optimizer.apply_gradients(pairs)
        return float(value)

    def _moved(self, x, y):
        """The points to train on: augmented, then attacked."""
        for layer in self._front:
            x = tf.cast(layer(x, training=True), tf.float32)
        risk = self._risk
        return risk.attack.perturb(risk.network, x, y) if risk.attack else x

    def _slope(self, x, y):
        """The mean loss, and its gradient by each trainable variable."""
        with tf.GradientTape() as tape:
            logits = tf.cast(self._rest(x, training=True), tf.float32)
            values = losses.per_example(self._risk.loss, y, logits)
            mean = tf.reduce_mean(values)
        return [mean, *dense_gradient(tape, mean, self._risk.variables)]


class _Point(keras.layers.Layer):
    """A control point, whose weights an optimizer of either Keras takes."""

    def __init__(self, values):
        super().__init__(dtype="float32")
        self.parts = [
            self.add_weight(
                name=f"part_{i}", shape=value.shape, initializer="zeros"
            )
            for i, value in enumerate(values)
        ]
        self.set_weights(values)

    def values(self):
        return [np.array(part) for part in self.parts]


def _copy(optimizer):
    """A new optimizer of the same configuration."""
    if optimizer is None:
        return keras.optimizers.SGD(0.1, momentum=0.9)
    found = keras.optimizers.get(optimizer)
    return type(found).from_config(found.get_config())
