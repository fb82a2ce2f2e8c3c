"""What is known of a long run, kept so that it can go on."""

import hashlib
import pathlib

import numpy as np

from tfrobust import files
from tfrobust.evaluation.identity import identity

_MEND = "Choose another file, or delete it."
_DATA = ("data",)


class State:
    """Answers for each example, kept in a file as they come.

    Args:
        path: The file, or None to keep them in memory alone.
        configuration: What must be the same for answers to be used again; see
            `identity.identity`.
    """

    def __init__(self, path, configuration):
        self._path = None if path is None else pathlib.Path(path)
        self._key = "" if path is None else _key(configuration)
        self._held = {}  # An array with a row an example, by `_key_of`.
        if self._path is not None and self._path.exists():
            self._held = _loaded(self._path)
            if str(self._held.pop("key", "")) != self._key:
                raise ValueError(
                    "`state` must belong to this model, attack and verifiers. "
                    f"Received: {path}, which another run wrote. {_MEND}"
                )

    def check_model(self, model, x):
        """Refuses a model that answers otherwise than the one of the file.

        Weights alone don't tell two models apart, and functions show none.
        """
        first, second = (np.asarray(model(x, training=False)) for _ in "12")
        held = self._held.setdefault("probe", first)
        if held.shape != first.shape or not _close(held, first, second):
            raise ValueError(
                "`state` must belong to this model. Received: "
                f"{self._path}, which the run of another model wrote. {_MEND}"
            )

    def check_data(self, index, x, y):
        """Refuses examples that are others than those of the file."""
        found = np.array(
            [_digest(one, label) for one, label in zip(x, y, strict=True)],
            np.uint64,
        )
        known = self.known(_DATA, index)
        if np.any(self.take(_DATA, index, "digest")[known] != found[known]):
            raise ValueError(
                f"`state` must belong to this data. Received: {self._path}, "
                f"which a run on other examples wrote. {_MEND}"
            )
        self.put(_DATA, index, {"digest": found})

    def known(self, stage, index):
        """Which examples have an answer, shape of `index`."""
        return self.take(stage, index, "known", bool)

    def take(self, stage, index, name, dtype=np.float32):
        """Returns one value of each example, zero where nothing is known."""
        held = self._held.get(_key_of(stage, name), np.zeros(0, dtype))
        return _grown(held, np.max(index, initial=-1) + 1)[index]

    def put(self, stage, index, answer, cost=0.0):
        """Keeps the answers for some examples, and what they cost.

        Args:
            stage: Who answers what, a tuple of strings.
            index: Positions in the data, shape `[n]`.
            answer: Arrays by name, with one row for each.
            cost: Numbers that are summed over all calls.
        """
        answer = {**answer, "known": np.ones(len(index), bool)}
        for name, rows in answer.items():
            key, rows = _key_of(stage, name), np.asarray(rows)
            held = self._held.get(
                key, np.zeros((0, *rows.shape[1:]), rows.dtype)
            )
            self._held[key] = _grown(held, np.max(index, initial=-1) + 1)
            self._held[key][index] = rows
        self._held[_key_of(stage, "cost")] = self.cost(stage) + cost

    def cost(self, stage):
        """The sum of what all answers of a stage cost."""
        return self._held.get(_key_of(stage, "cost"), 0.0)

    def save(self):
        """Writes the file, if there is one."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with files.new_file(self._path) as new, open(new, "wb") as file:
                held = {"key": self._key, **self._held}
                np.savez(file, seal=_seal(held), **held)


def _key(value):
    try:
        return identity(value)
    except TypeError as error:
        raise TypeError(
            "`state` must be None where adversaries can't be told from others, "
            f"since they may change. {error}"
        ) from error


def _close(held, first, second):
    """Whether answers are those that are held, up to rounding."""
    with np.errstate(invalid="ignore"):
        # A model that is random itself may differ by what it differs anyway.
        tolerance = 10 * np.abs(first - second).max()
        tolerance += 1e-4 * max(1.0, np.abs(first).max())
        near = np.abs(held - first).max() <= tolerance
    return near or np.array_equal(held, first, equal_nan=True)


def _key_of(stage, name):
    """A name in the file that no other stage has."""
    return repr((*stage, name))


def _loaded(path):
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            held = dict(stored)
        if str(held.pop("seal", "")) != _seal(held):
            raise ValueError("its seal is missing or another's")
        return held
    # Damage shows in as many ways as there are parts of a file.
    except Exception as error:
        raise ValueError(
            f"`state` must be a file that an evaluation wrote. Received: "
            f"{path}, which can't be read as one ({type(error).__name__}: "
            f"{error}). {_MEND}"
        ) from error


def _seal(held):
    """A hash of everything: an archive may lose an array unnoticed."""
    return identity({name: np.asarray(part) for name, part in held.items()})


def _grown(rows, count):
    """The rows, with zeros appended so that there are at least `count`."""
    missing = max(0, int(count) - len(rows))
    empty = np.zeros((missing, *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, empty]) if missing else rows


def _digest(x, y):
    """Eight bytes that stand for an example."""
    digest = hashlib.sha256(np.float32(x).tobytes())
    digest.update(np.int64(y).tobytes())
    return int.from_bytes(digest.digest()[:8], "little")
