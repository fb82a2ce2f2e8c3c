"""Stochastic weight averaging."""

import numpy as np

from tfrobust import backend, checks
from tfrobust.backend import keras
from tfrobust.model import RobustModel


class SWA(keras.callbacks.Callback):
    """Averages the weights at the ends of epochs, each alike, from one on.

    The average after n epochs is `mean(w_1, ..., w_n)`. It stands where Keras
    keeps its own averages: it is what a `RobustModel` validates, what its
    callbacks get and what `fit` ends with, and saved with the optimizer. Until
    epoch `start` it is the weights. Batch normalisation statistics aren't
    averaged: add a `ReestimateBatchNorm`.

    How many epochs were averaged follows from the epoch alone, so training
    that is resumed goes on with the average that `BackupAndRestore` saved. Put
    this in front of other callbacks, which then see the epoch in the average.

    Args:
        start: The first epoch, counted from 0, whose weights are averaged.

    Raises:
        ValueError: If `start` is no whole number of at least 0; before the
            first epoch, if the optimizer moves averages of its own, or none.
        TypeError: Before the first epoch, if the model is no `RobustModel`.

    Example:
        sgd = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0)
        model.compile(sgd, objective=objective)
        model.fit(x, y, epochs=200, callbacks=[tfr.callbacks.SWA(start=55)])

    Reference: Izmailov et al., 2018, arXiv 1803.05407, algorithm 1; against
    robust overfitting: Chen et al., 2021, ICLR, section 3.2.
    """

    def __init__(self, start: int):
        super().__init__()
        checks.count(start, "start", least=0)
        self.start = start

    def on_train_begin(self, logs: dict | None = None) -> None:
        example = "tfr.RobustModel(network)"
        checks.kind(self.model, RobustModel, "model", example)
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        names = "use_ema", "ema_momentum", "ema_overwrite_frequency"
        found = [getattr(inner, name, None) for name in names]
        if found != [True, 1.0, None]:
            shown = ", ".join(map("{}={}".format, names, found))
            raise ValueError(
                "SWA keeps its average where the optimizer keeps one, which "
                "must not move it: compile with use_ema=True and "
                "ema_momentum=1.0, as in keras.optimizers.SGD(0.1, "
                f"use_ema=True, ema_momentum=1.0). Received: {shown}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        averages = backend.averages(self.model)
        self._before = [np.array(average) for average in averages]
        self._share = 1 / (max(epoch - self.start, 0) + 1)
        self.model.before_averages = self._update

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # Who has set the weights since then has said what the average is.
        if self.model.before_averages:
            self._update()

    def _update(self):
        """Makes it the average of the epochs before and the weights now."""
        weights = backend.trainable(self.model)
        averages = backend.averages(self.model)
        # A network that is built in the first step has no averages before.
        before = self._before or weights
        for average, old, weight in zip(averages, before, weights, strict=True):
            new = (1 - self._share) * np.array(old)
            average.assign(new + self._share * np.array(weight))
