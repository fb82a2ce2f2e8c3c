"""Averaged weights, those of Keras's `use_ema`."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfrobust import backend, files
from tfrobust.backend import as_in_keras, keras
from tfrobust.types import Model


class Averaging(keras.Model):
    """A model of which training leaves averages beside the weights.

    While it is trained, the averages are what is validated, what callbacks
    get and what a file gives back. `fit` ends with them as the weights; from
    then on the weights are the weights, whoever sets or loads them, and the
    averages follow.
    """

    _training = False  # Whether the averages are ahead of the weights.
    _fitting = False
    _swapped = False  # Whether the averages are in the weights' place.

    # Functions that callbacks set, until somebody sets the weights or `fit`
    # ends: the first is called before the averages take the weights' place
    # and brings them up to date, the second then assigns what belongs to them.
    before_averages: Any = None
    after_averages: Any = None

    @as_in_keras
    def fit(self, *args, **kwargs):
        self._begin()
        self._fitting = True
        try:
            history = super().fit(*args, **kwargs)
        finally:
            self._fitting = False
            self.before_averages = self.after_averages = None
        self._training = False
        return history

    @as_in_keras
    def train_on_batch(self, *args, **kwargs):
        self._begin()
        return super().train_on_batch(*args, **kwargs)

    @as_in_keras
    def evaluate(self, *args, **kwargs):
        with self.averaged():
            return super().evaluate(*args, **kwargs)

    @as_in_keras
    def predict(self, *args, **kwargs):
        with self.averaged():
            return super().predict(*args, **kwargs)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Uses the averaged weights, in training, for a while."""
        averaging = self._training and backend.has_averages(self)
        if self._swapped or not averaging:
            yield
            return
        if self.before_averages:
            self.before_averages()
        saved = self.network.get_weights()
        self._swapped = True
        try:
            self.optimizer.finalize_variable_values(self.trainable_variables)
            if self.after_averages:
                self.after_averages()
            yield
        finally:
            self._swapped = False
            self.network.set_weights(saved)

    def get_weights(self) -> list[np.ndarray]:
        """Those of the network; in `fit` those that are validated."""
        with self.averaged() if self._fitting else contextlib.nullcontext():
            return self.network.get_weights()

    def set_weights(self, weights: Sequence) -> None:
        """Sets those of the network; the averages follow."""
        self.network.set_weights(weights)
        self._follow()

    @as_in_keras
    def load_weights(self, *args, **kwargs):
        """As in Keras; the averages follow, unless they are loaded too."""
        averages = backend.averages(self)
        before = [np.array(average) for average in averages]
        for average in averages:
            average.assign(np.full(average.shape, np.nan))
        try:
            result = super().load_weights(*args, **kwargs)
        except BaseException:
            for average, value in zip(averages, before, strict=True):
                average.assign(value)
            raise
        averages = backend.averages(self)
        if any(np.any(np.isnan(average)) for average in averages):
            self._follow()
        else:
            self._training = True
            self.before_averages = self.after_averages = None
        return result

    @as_in_keras
    def save(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but a local file is written whole or not at all.

        Raises:
            ValueError: If it is an HDF5 file, which Keras couldn't load.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "`filepath` must end in .keras: Keras loads no model of its "
                f"own class from HDF5. Received: {filepath}. An HDF5 file of "
                "the network alone is model.network.save(filepath)."
            )
        files.save_whole(super().save, filepath, overwrite, **kwargs)

    @as_in_keras
    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but a local file is written whole or not at all."""
        if not self._training:
            self._follow()
        files.save_whole(super().save_weights, filepath, overwrite, **kwargs)

    def _begin(self):
        if not self._training:
            self._follow()
        self._training = True

    def _follow(self):
        """Makes the weights the averages."""
        self.before_averages = self.after_averages = None
        averages = backend.averages(self)
        weights = backend.trainable(self) if averages else []
        # Of other variables than it was built for the optimizer trains none.
        if len(weights) == len(averages):
            for average, weight in zip(averages, weights, strict=True):
                average.assign(np.array(weight))


@contextlib.contextmanager
def network_of(model: Model) -> Iterator[Model]:
    """Gives the network of a `RobustModel`, or the model itself, for a while.

    While a `RobustModel` is trained with averages, they are the weights.
    """
    if not isinstance(model, Averaging):
        yield model
        return
    with model.averaged():
        yield model.network


def on_network(function: Callable) -> Callable:
    """A decorator: `function(network, ...)` takes a `RobustModel` too."""

    @functools.wraps(function)
    def called(model, *args, **kwargs):
        with network_of(model) as network:
            return function(network, *args, **kwargs)

    return called
