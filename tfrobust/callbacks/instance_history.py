"""What was remembered of each instance, epoch by epoch."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrobust import checks, files
from tfrobust.backend import keras
from tfrobust.types import Path, TensorLike

_FEATURES = "feature_norm"


class InstanceHistory(keras.callbacks.Callback):
    """Keeps slots of the memory at the end of each epoch.

    Args:
        path: An `.npz` file, written anew after each epoch; a run that goes on
            goes on in it. None keeps the history in memory alone.
        slots: What to keep, such as what `tfr.objectives.Recorded` remembers.
        layer: Name or number of a layer of the network, of whose outputs the
            norm is kept too, as `feature_norm`; None for none.
        x: The inputs to take them of, shape `[instances, ...]`; None without
            a `layer`.

    Attributes:
        history: Arrays of shape `[epochs, instances]`, by slot.

    Raises:
        ValueError: If `layer` or `x` comes without the other; in training, if
            a file is there and the first epoch isn't the one that follows.

    Example:
        model.compile("adam", objective=tfr.objectives.Recorded(objective))
        kept = tfr.callbacks.InstanceHistory("run/instances.npz")
        model.fit(tfr.instances.Indexed(x, index), y, callbacks=[kept])
        means = tfr.instances.group_means(
            kept.history["recorded_loss"], tfr.instances.difficulty(model)
        )
    """

    def __init__(
        self,
        path: Path | None = None,
        slots: Sequence[str] = ("recorded_loss", "recorded_correct"),
        layer: str | int | None = None,
        x: TensorLike | None = None,
    ):
        super().__init__()
        checks.argument(
            (layer is None) == (x is None), "layer", "come with `x`", layer
        )
        self.path = None if path is None else pathlib.Path(path)
        self.slots, self.layer, self.x = tuple(slots), layer, x
        self.history: dict[str, np.ndarray] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._features: Any = None
        if self.layer is not None:
            network = self.model.network
            named = isinstance(self.layer, str)
            found = network.get_layer if named else network.layers.__getitem__
            self._features = keras.Model(
                network.inputs, found(self.layer).output
            )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        kept = self._length()
        if epoch and not kept and self.path and os.path.exists(self.path):
            with np.load(self.path) as held:
                self.history = {name: held[name] for name in held.files}
        elif not kept and self.path and os.path.exists(self.path):
            raise ValueError(
                f"`path` must be a new file for a new run. Received: "
                f"{self.path}, which is kept as it is. Choose another one."
            )
        if epoch > self._length():
            raise ValueError(
                f"`path` must hold the {epoch} epochs before this one. "
                f"Received: {self._length()} in {self.path}. Begin anew."
            )
        # What a killed run had written of this epoch is written again.
        self.history = {n: rows[:epoch] for n, rows in self.history.items()}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        new = {name: self.model.memory.values(name) for name in self.slots}
        if self._features is not None:
            found = self._features.predict(self.x, verbose=0)
            rows = np.reshape(found, [len(found), -1])
            new[_FEATURES] = np.linalg.norm(rows, axis=1)
        for name, values in new.items():
            old = self.history.get(name, np.zeros((0, len(values))))
            rows = np.concatenate([old, values[np.newaxis]])
            self.history[name] = rows.astype(np.float32)
        if self.path is not None:
            with files.new_file(self.path) as written:
                held: Any = self.history
                np.savez(written, **held)

    def _length(self):
        return max((len(rows) for rows in self.history.values()), default=0)
