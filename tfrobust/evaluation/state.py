"""What is known of a long run, kept so that it can go on."""

import hashlib
import pathlib

import numpy as np

from tfrobust import files
from tfrobust.backend import keras


class State:
    """Answers of batches, kept in a file as they come.

    Args:
        path: The file, or None.
        info: Provenance of model and data.
        adversaries: Everything that is run, in its order.
    """

    def __init__(self, path, info, adversaries):
        self._path = None if path is None else pathlib.Path(path)
        identity = [info["weights_sha256"], info["data_sha256"], adversaries]
        self._key = hashlib.sha256(repr(identity).encode()).hexdigest()
        self._known = {}
        if self._path is not None and self._path.exists():
            with np.load(self._path) as stored:
                self._known = dict(stored)
            if str(self._known.pop("key", "")) != self._key:
                raise ValueError(
                    f"`state` must belong to this model, data, attack and "
                    f"verifiers. Received: {path}, which was written by "
                    "another run. Choose another file, or delete it."
                )

    def batches(self, run, index, size, stage, verbose):
        """Runs batches of indices, or takes what is known of them."""
        starts = range(0, len(index), size)
        bar = keras.utils.Progbar(len(starts), verbose=verbose)
        parts: dict[str, list] = {}
        for begin in starts:
            part = index[begin : begin + size]
            label = f"{stage}/{begin}/"
            held = {
                name.removeprefix(label): value
                for name, value in self._known.items()
                if name.startswith(label)
            }
            answer = held or run(part)
            for name, value in answer.items():
                parts.setdefault(name, []).append(value)
                self._known[label + name] = value
            if not held:
                self._save()
            bar.add(1)
        if not parts:
            return {
                "correct": np.zeros(0, bool),
                "inside": np.ones(0, bool),
                "norm": np.zeros(0, np.float32),
                "least": np.zeros(0, np.float32),
            }
        return {name: np.concatenate(some) for name, some in parts.items()}

    def _save(self):
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with files.new_file(self._path) as new, open(new, "wb") as file:
            np.savez(file, key=self._key, **self._known)
