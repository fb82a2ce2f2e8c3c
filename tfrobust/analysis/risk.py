"""The mean loss over data, as a function of the weights."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfrobust import losses
from tfrobust.analysis.traced import traced
from tfrobust.attack import Attack
from tfrobust.backend import check_network, keras, raw
from tfrobust.evaluation.batches import batches
from tfrobust.objectives.arguments import check_adversary
from tfrobust.types import Loss

Batch: TypeAlias = tuple[tf.Tensor, tf.Tensor]


class Risk:
    """The mean loss of a network over data, and what is derived from it.

    The network runs in inference mode. A vector of weights is one flat array,
    the trainable variables in their order; penalties that layers add
    (`kernel_regularizer`) aren't part of the loss.

    Args:
        network: A Keras model of logits.
        data: A pair of arrays `(x, y)`, or a batched `tf.data.Dataset` of them.
        loss: What `losses.get` takes; None for cross entropy.
        attack: An `Attack` that moves the inputs, or None.
        batch_size: Number of examples in a batch of arrays.
    """

    def __init__(
        self,
        network: keras.Model,
        data: Any,
        loss: Loss | str | None = None,
        attack: Attack | None = None,
        batch_size: int = 128,
    ) -> None:
        check_network(network)
        if attack is not None:
            check_adversary(attack, Attack, "attack")
        self.network, self.data, self.batch_size = network, data, batch_size
        self.loss = losses.get(loss)
        self.attack: Any = attack
        first = next(self.clean(), None)
        if first is None:
            raise ValueError("`data` must hold at least one example.")
        if not network.built:
            network(first[0][:1], training=False)
        check_float32(network)
        _check_trainable(network)
        self.variables = [raw(v) for v in network.trainable_variables]
        self._compile(*first)

    def _compile(self, x, y):
        batch = [tf.TensorSpec([None, *p.shape[1:]], p.dtype) for p in (x, y)]
        vectors = [tf.TensorSpec(v.shape) for v in self.variables]

        self._perturb = traced(self._perturbed, *batch)
        self._measure = traced(self._measured, *batch)
        self._differentiate = traced(self._gradients, *batch)
        self._multiply = traced(self._products, *batch, *vectors)

    @property
    def size(self) -> int:
        """Number of trainable weights."""
        return sum(int(np.prod(v.shape)) for v in self.variables)

    def clean(self, order: np.ndarray | None = None) -> Iterator[Batch]:
        """The batches as they come; of arrays, in this order."""
        data = self.data
        if order is not None:
            data = [np.asarray(part)[order] for part in data]
        for x, y in batches(data, self.batch_size)[0]:
            x = tf.convert_to_tensor(x)
            x = tf.cast(x, tf.float32) if x.dtype.is_floating else x
            yield x, tf.convert_to_tensor(y)

    def points(self) -> Iterator[Batch]:
        """The batches that the attack finds at the weights of now."""
        for x, y in self.clean():
            yield (self._perturb(x, y) if self.attack else x), y

    def measured(self, points: Iterable[Batch]) -> tuple[float, float | None]:
        """Mean loss and accuracy; None if the loss compares no classes."""
        sums, count = np.zeros(2), 0
        for x, y in points:
            sums += [float(part) for part in self._measure(x, y)]
            count += len(x)
        loss, accuracy = sums / count
        return loss, accuracy if losses.reads_classes(self.loss) else None

    def gradient(self, points: Iterable[Batch]) -> np.ndarray:
        """That of the mean loss at given points, shape `[weights]`."""
        return self._mean(self._differentiate, points)

    def product(
        self, points: Iterable[Batch], vector: np.ndarray
    ) -> np.ndarray:
        """The Hessian at given points times a vector, exactly."""
        parts = [tf.constant(part) for part in self.split(vector)]
        return self._mean(lambda x, y: self._multiply(x, y, *parts), points)

    def weights(self) -> np.ndarray:
        """The trainable weights, shape `[weights]`, float64."""
        return joined(self.variables)

    def assign(self, vector: np.ndarray) -> None:
        """Sets the trainable weights to a vector, rounded to float32."""
        parts = self.split(vector)
        for variable, part in zip(self.variables, parts, strict=True):
            variable.assign(part)

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """A vector as one float32 array for each trainable variable."""
        shapes = [tuple(v.shape) for v in self.variables]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        parts = np.split(np.asarray(vector, np.float32), ends)
        return [np.reshape(*pair) for pair in zip(parts, shapes, strict=True)]

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Puts all weights back at the end, also on an error."""
        # Those of Keras 3 include the states of random layers.
        saved = [(v, np.array(v)) for v in map(raw, self.network.variables)]
        try:
            yield
        finally:
            for variable, value in saved:
                variable.assign(value)

    def _mean(self, function, points):
        total, count = np.zeros(self.size), 0
        for x, y in points:
            total += joined(function(x, y))
            count += len(x)
        return total / count

    def _perturbed(self, x, y):
        return self.attack.perturb(self.network, x, y)

    def _losses(self, x, y):
        logits = tf.cast(self.network(x, training=False), tf.float32)
        return losses.per_example(self.loss, y, logits), logits

    def _measured(self, x, y):
        values, logits = self._losses(x, y)
        right = 0.0
        if losses.reads_classes(self.loss):
            true = losses.whole_labels(y, logits.shape)
            right = tf.argmax(logits, -1, tf.int32) == true
            right = tf.reduce_sum(tf.cast(right, tf.float32))
        return tf.reduce_sum(values), right

    def _gradients(self, x, y):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(self._losses(x, y)[0])
        return dense_gradient(tape, total, self.variables)

    def _products(self, x, y, *vectors):
        with tf.GradientTape() as outer:
            gradients = self._gradients(x, y)
        return dense_gradient(outer, gradients, self.variables, vectors)


def joined(parts: Sequence) -> np.ndarray:
    """Tensors or arrays as one flat vector, float64."""
    rows = [np.ravel(np.asarray(part, np.float64)) for part in parts]
    return np.concatenate(rows)


def check_float32(network: keras.Model) -> None:
    """Refuses a network of other precision."""
    for layer in network._flatten_layers():
        if layer.compute_dtype in ("float16", "bfloat16", "float64"):
            raise ValueError(
                "`model` must compute in float32, since derivatives of the "
                f"loss need its precision. Received: layer {layer.name!r} in "
                f"{layer.compute_dtype}. Load its weights into a model built "
                "under the float32 policy."
            )


def _check_trainable(network):
    """Refuses a network without weights of its own to train."""
    if not network.trainable_variables:
        raise ValueError(
            "`model` must have trainable weights. Received: "
            f"{network.name!r}, which has none. Set model.trainable = True."
        )
    replicas = network.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        raise NotImplementedError(
            "The loss by the weights is analysed on one replica. Received a "
            f"strategy of {replicas} replicas. Load the weights into a model "
            "built outside of it."
        )


def dense_gradient(
    tape: tf.GradientTape,
    targets: Any,
    sources: Sequence,
    factors: Sequence | None = None,
) -> list[tf.Tensor]:
    """Derivatives as dense tensors, 0 where the target doesn't reach.

    Args:
        tape: What recorded the target.
        targets: A tensor, or a list of them.
        sources: Variables.
        factors: What to multiply each target with; None for 1.
    """
    found = tape.gradient(
        targets,
        sources,
        output_gradients=factors,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.convert_to_tensor(part) for part in found]
