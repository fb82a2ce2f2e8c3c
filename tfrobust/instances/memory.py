"""What a model remembers of each training instance."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import backend, checks
from tfrobust.backend import keras, register
from tfrobust.instances.slot import Slot
from tfrobust.types import TensorLike

VISITS = "visits"  # The slot that every memory has.
_STORAGES = ("float32", "float16", "int8")


@register
class Memory(keras.layers.Layer):
    """Rows of state, one for each training instance.

    A `RobustModel` has one. It stays empty until an objective with `slots` is
    trained: then it holds a row of each slot for each instance, and how often
    the instance was seen. It is saved with the model and its weights files,
    so that training goes on where it stopped, but it is no part of the
    network, so neither `network.save` nor `tfr.export` ships it.

    Args:
        storage: How values in [-1, 1], such as perturbations in units of
            epsilon, are stored: `"float32"`, `"float16"`, or `"int8"` in
            steps of 1/127. All others are float32.
        host: Whether to keep it in the host's memory, not on the device.
        limit: Most bytes that it may take; 2 GiB by default.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        memory = tfr.instances.Memory(storage="int8", host=True)
        model = tfr.RobustModel(network, memory=memory)
    """

    def __init__(
        self,
        storage: str = "float32",
        host: bool = False,
        limit: int = 2**31,
        **kwargs: Any,
    ):
        size, slots = kwargs.pop("size", 0), kwargs.pop("slots", {})
        super().__init__(trainable=False, **kwargs)
        expected = f"be one of {', '.join(_STORAGES)}"
        checks.argument(storage in _STORAGES, "storage", expected, storage)
        checks.count(limit, "limit")
        self.storage, self.host, self.limit = storage, host, limit
        # A plain object: Keras tracks what it holds, and it holds variables.
        self._made = _Made()
        if slots:
            made = {n: Slot(tuple(s), *rest) for n, (s, *rest) in slots.items()}
            self.make(size, made)

    @property
    def size(self) -> int:
        """The number of instances, 0 before `make`."""
        return self._made.size

    @property
    def slots(self) -> dict[str, Slot]:
        """What is remembered, by name."""
        return dict(self._made.slots)

    def make(self, size: int, slots: Mapping[str, Slot]) -> None:
        """Makes room for what isn't there yet.

        Args:
            size: Number of instances.
            slots: What to remember of each, by name.

        Raises:
            ValueError: If it is made for another number of instances, or
                with a slot of the same name and another shape, or if it would
                exceed `limit`.
        """
        self._check(size, slots)
        for name, slot in {VISITS: Slot(), **slots}.items():
            if name not in self._made.slots:
                with self._device():
                    variable = backend.state(
                        self,
                        name,
                        (size, *slot.shape),
                        slot.kept(self.storage),
                        slot.encode(slot.initial, self.storage),
                    )
                self._made.slots[name] = slot
                self._made.variables[name] = variable
        self._made.size = size

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what is remembered of some instances, float32 by slot.

        Args:
            index: Their positions, shape `[batch]`, checked by `checked`.
        """
        with self._device():
            return {
                name: slot.decode(tf.gather(self._raw(name), index))
                for name, slot in self._made.slots.items()
            }

    def write(self, index: tf.Tensor, rows: Mapping[str, tf.Tensor]) -> None:
        """Replaces some rows, and counts a visit of each of the instances.

        Args:
            index: Positions of the instances, distinct, shape `[batch]`.
            rows: New rows of some slots, by name, shape `[batch, ...]`.

        Raises:
            ValueError: If there is no such slot, or rows have another shape.
        """
        visits = tf.gather(self._raw(VISITS), index) + 1
        for name, values in {**rows, VISITS: visits}.items():
            stored = self._encoded(name, values)
            with self._device():
                positions, stored = backend.of_all_replicas(index, stored)
                update = tf.IndexedSlices(stored, positions)
                self._raw(name).scatter_update(update)

    def checked(self, index: TensorLike) -> tf.Tensor:
        """Returns positions as int32 once they are distinct and in range."""
        return checks.positions(index, self.size)

    def values(self, name: str) -> np.ndarray:
        """All rows of a slot, shape `[instances, ...]`, float32.

        Raises:
            ValueError: If nothing of that name is remembered.
        """
        if name not in self._made.slots:
            raise ValueError(
                "The memory must hold what is asked for. Received: "
                f"{name!r}, and it holds {', '.join(self._made.slots) or None}."
                " Train with an objective that remembers it."
            )
        return np.array(self._made.slots[name].decode(self._raw(name)))

    def reset(self) -> None:
        """Forgets everything: every row is as before the first step."""
        for name, slot in self._made.slots.items():
            variable = self._made.variables[name]
            value = np.array(slot.encode(slot.initial, self.storage))
            variable.assign(np.broadcast_to(value, variable.shape))

    def get_config(self) -> dict[str, Any]:
        slots = {name: list(slot) for name, slot in self._made.slots.items()}
        return {
            "name": self.name,
            "storage": self.storage,
            "host": self.host,
            "limit": self.limit,
            "size": self.size,
            "slots": slots,
        }

    def save_own_variables(self, store: Any) -> None:
        for name, variable in self._made.variables.items():
            store[name] = np.array(variable)

    def load_own_variables(self, store: Any) -> None:
        """Takes over what a file holds, if there is room made for it.

        Raises:
            ValueError: If the file holds other slots or instances.
        """
        for name, variable in self._made.variables.items():
            value = np.array(store[name]) if name in store.keys() else None
            if value is None or value.shape != tuple(variable.shape):
                held = "nothing" if value is None else value.shape
                raise ValueError(
                    f"The file must hold {name!r} of each instance, shape "
                    f"{tuple(variable.shape)}. Received: {held}. Load it into "
                    "a model that remembers the same of the same data; one "
                    "that was never fit takes the weights alone."
                )
            variable.assign(value)

    def _check(self, size, slots):
        made = self._made
        if made.slots and size != made.size:
            raise ValueError(
                "The memory must be of one number of instances. Received: "
                f"{size}, after {made.size}. Build a new RobustModel for "
                "other data, or declare the largest index + 1 by "
                "compile(instances=...)."
            )
        changed = [n for n in slots if made.slots.get(n, slots[n]) != slots[n]]
        if changed:
            raise ValueError(
                "A slot must keep its shape while a model lives. Received: "
                f"{changed[0]!r} as {slots[changed[0]]}, after "
                f"{made.slots[changed[0]]}. Build a new RobustModel."
            )
        every = {VISITS: Slot(), **made.slots, **slots}.values()
        needed = size * sum(slot.bytes_of(self.storage) for slot in every)
        if needed > self.limit:
            raise ValueError(
                f"The memory must take at most `limit` bytes, {self.limit}. "
                f"It would take {needed} ({needed / 2**30:.2f} GiB) for {size} "
                "instances. Pass RobustModel(network, memory=tfr.instances."
                "Memory(storage='int8')), or a larger limit."
            )

    def _encoded(self, name, values):
        slot = self._made.slots.get(name)
        if slot is None:
            raise ValueError(
                "`Outcome.rows` must name slots of the objective: "
                f"{', '.join(self._made.slots)}. Received: {name!r}"
            )
        values = tf.cast(values, tf.float32)
        if not values.shape[1:].is_compatible_with(slot.shape):
            raise ValueError(
                f"`Outcome.rows[{name!r}]` must have shape [batch, *"
                f"{slot.shape}]. Received shape {tuple(values.shape)}."
            )
        return slot.encode(values, self.storage)

    def _raw(self, name):
        return backend.raw(self._made.variables[name])

    def _device(self):
        return tf.device("CPU:0") if self.host else contextlib.nullcontext()


class _Made:
    """What `make` made so far."""

    def __init__(self):
        self.size: int = 0
        self.slots: dict[str, Slot] = {}
        self.variables: dict[str, Any] = {}
