"""How far robust accuracy has fallen from its best."""

import math
import pathlib

import numpy as np

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.files import new_file
from tfrobust.types import Path


class RobustOverfitting(keras.callbacks.Callback):
    """Logs the best accuracy under attack minus the last, restores the best.

    Robust accuracy on data that isn't trained on peaks early, most often after
    the first drop of the learning rate, and falls while that on the training
    data still rises. Each epoch logs by how much, as `val_pgd20_accuracy_gap`:
    `max(value of all epochs) - value`. Training ends with the weights that
    were validated best, averages and statistics with them. `best` and
    `best_epoch`, counted from 0, say what and when that was.

    Put it in front of `CSVLogger` and `TensorBoard`, which then see the gap.

    Args:
        monitor: Name of what `fit` logs each epoch; larger is better.
        path: File, ending in .npz, that keeps the best weights, so that they
            survive a kill: a run that `BackupAndRestore` resumes ends with the
            best of all its epochs. None counts from where it was resumed.

    Raises:
        TypeError: If `monitor` is no string.
        ValueError: If `path` ends otherwise, or `monitor` is a loss; in the
            first epoch, if it isn't among the logs; at a resume, if the file
            holds what another run left.

    Example:
        pgd = tfr.attacks.PGD(linf, steps=20)
        model.compile("adam", objective=objective, adversaries=pgd)
        gap = tfr.callbacks.RobustOverfitting("val_pgd20_accuracy")
        model.fit(x, y, validation_data=(x_val, y_val), callbacks=[gap])

    Reference: Rice et al., 2020, arXiv 2002.11569, section 3.
    """

    def __init__(
        self, monitor: str = "val_pgd20_accuracy", path: Path | None = None
    ):
        super().__init__()
        checks.kind(monitor, str, "monitor", "'val_pgd20_accuracy'")
        larger = not monitor.endswith("loss")
        checks.argument(larger, "monitor", "be no loss", monitor)
        fine = path is None or pathlib.Path(path).suffix == ".npz"
        checks.argument(fine, "path", "end in .npz", str(path))
        self.monitor, self.path = monitor, path

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.best, self.best_epoch = math.nan, -1
        self._weights: list[np.ndarray] | None = None
        self._began = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        resumed = epoch > 0 and not self._began
        self._began = True
        if resumed and self.path and pathlib.Path(self.path).exists():
            self._load(self.path, epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = {} if logs is None else logs
        if self.monitor not in logs:
            raise ValueError(
                "`monitor` must be among what `fit` logs each epoch: "
                f"{', '.join(sorted(logs))}. Received: monitor={self.monitor}. "
                "It takes `validation_data` in `fit`, and the attack among "
                "the `adversaries` of `compile`."
            )
        value = float(logs[self.monitor])
        # The first number is better than none.
        if value > self.best or (self.best_epoch < 0 and value == value):
            self.best, self.best_epoch = value, epoch
            self._weights = self.model.get_weights()
            if self.path:
                self._save(self.path, self._weights)
        logs[f"{self.monitor}_gap"] = self.best - value

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def _save(self, path, weights):
        with new_file(path) as new, open(new, "wb") as file:
            np.savez(
                file,
                *weights,
                monitor=self.monitor,
                best=self.best,
                epoch=self.best_epoch,
            )

    def _load(self, path, epoch):
        with np.load(path) as held:
            weights = [held[f"arr_{k}"] for k in range(len(held.files) - 3)]
            self.best, self.best_epoch = held["best"].item(), int(held["epoch"])
            monitor = str(held["monitor"])
        shapes = [np.shape(value) for value in self.model.get_weights()]
        # Killed between two files, it repeats the epoch of this one.
        fits = shapes == [np.shape(value) for value in weights]
        if not fits or self.best_epoch > epoch or monitor != self.monitor:
            raise ValueError(
                "`path` must hold what this run left when it was killed. "
                f"Received: path={path}, of epoch {self.best_epoch} and "
                f"{monitor}, where epoch {epoch} of {self.monitor} begins. "
                "Remove the file, or choose another path."
            )
        self._weights = weights
