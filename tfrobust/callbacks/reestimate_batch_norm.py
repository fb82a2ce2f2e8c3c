"""Batch normalisation statistics of the weights that are used."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import augmentation, checks
from tfrobust.attack import Attack
from tfrobust.averaging import Averaging
from tfrobust.backend import keras
from tfrobust.evaluation.batches import batches, check_pair
from tfrobust.objectives.arguments import check_adversary


class ReestimateBatchNorm(keras.callbacks.Callback):
    """Estimates batch normalisation statistics anew, before each validation.

    Averaged weights (`use_ema`, `SWA`) don't fit the statistics that training
    keeps, which are those of the weights that it moves. This passes data
    through the network in training mode and averages what each batch gives,
    every example alike: after n of them,
    `mean <- mean + (b / n) * (batch_mean - mean)`, b those of the batch, and
    so for the variance. It does so before each validation of `fit` and at the
    end of training.

    The statistics belong to the averages: validation, `get_weights` and other
    callbacks get both, and training goes on with its own, bit for bit as
    without this. Without averages they belong to the weights and stay. A file
    that is written in the middle of training holds those of training: call
    `reestimate` on what is loaded from it.

    Args:
        data: What to estimate them on: a pair of arrays `(x, y)`, or a batched
            `tf.data.Dataset` of such pairs.
        attack: An `Attack` that moves each batch first, under the statistics
            so far, as adversarial training does; None takes the data as it is.
        batch_size: Number of examples in a batch of arrays.

    Raises:
        TypeError: If `attack` is none.
        ValueError: If `batch_size` is below 1, or the attack is targeted;
            before the first epoch, if the network has no batch normalisation
            that is trained.
        NotImplementedError: In a strategy of several replicas.

    Example:
        adam = keras.optimizers.Adam(use_ema=True, ema_momentum=0.999)
        model.compile(adam, objective=objective)
        reestimate = tfr.callbacks.ReestimateBatchNorm((x[:2000], y[:2000]))
        model.fit(x, y, validation_data=val, callbacks=[reestimate])

    Reference: Izmailov et al., 2018, arXiv 1803.05407, section 3.2.
    """

    def __init__(
        self, data: Any, attack: Attack | None = None, batch_size: int = 128
    ):
        super().__init__()
        check_pair(data)
        checks.count(batch_size, "batch_size")
        if attack is not None:
            check_adversary(attack, Attack, "attack")
        self.data, self.attack, self.batch_size = data, attack, batch_size

    def on_train_begin(self, logs: dict | None = None) -> None:
        network: Any = getattr(self.model, "network", self.model)
        if network.built:  # Else its layers may have yet to be made.
            _layers(network)

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.reestimate(self.model)

    def on_train_end(self, logs: dict | None = None) -> None:
        # By now the averages, or the best weights, are the weights.
        self._estimate(self.model)

    def reestimate(self, model: keras.Model) -> None:
        """Estimates the statistics of the weights that `evaluate` would use.

        Args:
            model: A `RobustModel`, or any Keras model of logits.

        Raises:
            ValueError: If it has no batch normalisation that is trained, or
                the data holds no examples.
            NotImplementedError: In a strategy of several replicas.
        """
        averaged = getattr(model, "averaged", contextlib.nullcontext)
        with averaged():
            self._estimate(model)

    def _estimate(self, model):
        _refuse_replicas(model)
        network = getattr(model, "network", model)
        layers = _layers(network)
        statistics = [v for layer in layers for v in _statistics(layer)]
        now = getattr(getattr(model, "optimizer", None), "iterations", 0)
        step, seen = None, 0
        with _kept(network, statistics), _at_once(layers):
            for x, y in batches(self.data, self.batch_size)[0]:
                seen += len(x)
                # Not kept from the last time: a layer may have changed.
                step = step or self._step(network, statistics, x, y)
                share = np.float32(len(x) / seen)
                step(*map(tf.constant, (x, y, share)), tf.cast(now, tf.int64))
        if not seen:
            raise ValueError("`data` must hold at least one example.")
        if isinstance(model, Averaging):
            found = [np.array(value) for value in statistics]
            model.after_averages = lambda: _assign(statistics, found)

    def _step(self, network, statistics, x, y):
        """A function that averages what one more batch like this gives."""
        attacked = augmentation.split(network) if self.attack else None
        front, rest = attacked or ([], network)
        of_batch = [
            tf.TensorSpec([None, *part.shape[1:]], part.dtype)
            for part in (x, y)
        ]

        def averaged(x, y, share, now):
            for layer in front:
                x = tf.cast(layer(x, training=True), tf.float32)
            if self.attack:
                x = self.attack.at(now).perturb(rest, x, y)
            before = [tf.identity(value) for value in statistics]
            rest(x, training=True)
            for value, old in zip(statistics, before, strict=True):
                value.assign((1 - share) * old + share * value)

        scalars = [tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int64)]
        step = tf.function(averaged, [*of_batch, *scalars], autograph=False)
        # TensorFlow warns of functions that are made again and again.
        return step.get_concrete_function()


def _layers(network):
    """The batch normalisation of a network that training moves."""
    found = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
    ]
    if not found:
        raise ValueError(
            "The model must have batch normalisation that is trained. "
            f"Received: {network.name!r}, which has none. Leave out "
            "ReestimateBatchNorm."
        )
    renormed = [x.name for x in found if getattr(x, "renorm", False)]
    if renormed:
        raise ValueError(
            "Batch renormalisation has statistics that training reads, which "
            f"can't be estimated aside. Received: {renormed[0]!r}. Use "
            "BatchNormalization without `renorm`."
        )
    return found


def _statistics(layer):
    return layer.moving_mean, layer.moving_variance


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def _kept(network, statistics) -> Iterator[None]:
    """Puts back all other state, such as the seeds of random layers."""
    ours = {id(value) for value in statistics}
    others = [v for v in network.non_trainable_variables if id(v) not in ours]
    saved = [np.array(value) for value in others]
    try:
        yield
    finally:
        _assign(others, saved)


@contextlib.contextmanager
def _at_once(layers) -> Iterator[None]:
    """Lets the statistics be those of the last batch alone."""
    saved = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0
        yield
    finally:
        for layer, momentum in zip(layers, saved, strict=True):
            layer.momentum = momentum


def _refuse_replicas(model):
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        raise NotImplementedError(
            "ReestimateBatchNorm runs on one replica. Received a strategy of "
            f"{replicas} replicas. Call `reestimate` on what is saved."
        )
