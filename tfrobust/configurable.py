"""Configuration read from the signature of `__init__`."""

import copy
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfrobust.backend import Schedule, keras
from tfrobust.remembered import Remembered
from tfrobust.types import TensorLike

_Self = TypeVar("_Self", bound="Configurable")
_ANY = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


class Configurable:
    """An object whose configuration is the arguments of its `__init__`.

    Each argument is kept as the attribute of its name. From this follow
    `get_config`, `from_config`, `repr`, `replace` and `at`. Arguments may be
    configurable too, or dictionaries of what is.
    """

    # The attributes that may hold a value for each example: shape `[batch]`,
    # or of x's rank, where a batch of 1 holds for every example.
    per_example: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of `__init__`, serialized by Keras."""
        return {
            name: keras.saving.serialize_keras_object(_plain(value))
            for name, value in self._arguments().items()
        }

    @classmethod
    def from_config(cls: type[_Self], config: dict[str, Any]) -> _Self:
        """Builds the object from what `get_config` returned."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            }
        )

    def replace(self: _Self, **attributes: Any) -> _Self:
        """Returns a copy with some attributes replaced.

        Raises:
            TypeError: If it has no attribute of such a name.
            ValueError: If `__init__` refuses the new values.
        """
        unknown = sorted(attributes.keys() - vars(self).keys())
        if unknown:
            raise TypeError(
                f"`replace` must name what {type(self).__name__} has: "
                f"{', '.join(vars(self))}. Received: {', '.join(unknown)}"
            )
        changed = self._replace(**attributes)
        checked = type(self)(**changed._arguments())
        # What `__init__` doesn't know, such as the training step, stays.
        return checked._replace(**{**vars(changed), **vars(checked)})

    def _replace(self: _Self, **attributes: Any) -> _Self:
        """Replaces without a check: for tensors, of values yet unknown."""
        other = copy.copy(self)
        for name, value in attributes.items():
            setattr(other, name, value)
        return other

    def at(
        self: _Self,
        step: TensorLike,
        rows: Mapping[str, tf.Tensor] | None = None,
    ) -> _Self:
        """Returns a copy with every schedule replaced by its value at `step`.

        Args:
            step: Scalar integer, the optimizer's step.
            rows: What is remembered of each instance of the batch, by slot,
                which replaces what is `Remembered`.

        Raises:
            ValueError: If what is `Remembered` isn't among the rows.
        """
        return self._replace(**_at(vars(self), step, rows))

    def schedules(self) -> list[str]:
        """Returns the names of the attributes that move with the step."""
        return _moving(vars(self))

    def _arguments(self):
        signature = inspect.signature(type(self).__init__)
        _, *parameters = signature.parameters.values()
        # A class without an `__init__` has that of `object`, which takes any.
        named = [p.name for p in parameters if p.kind not in _ANY]
        return {name: getattr(self, name) for name in named}

    def __repr__(self) -> str:
        arguments = (f"{k}={v!r}" for k, v in self._arguments().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def _at(value, step, rows):
    if isinstance(value, Remembered):
        return value.of(rows)
    if isinstance(value, Schedule):
        return tf.cast(value(step), tf.float32)
    if isinstance(value, Configurable):
        return value.at(step, rows)
    if isinstance(value, dict):
        return {name: _at(part, step, rows) for name, part in value.items()}
    return value


def _moving(parts):
    """The paths of the schedules among named parts."""
    names = []
    for name, value in parts.items():
        if isinstance(value, Schedule):
            names.append(name)
        elif isinstance(value, Configurable | dict):
            inner = value if isinstance(value, dict) else vars(value)
            names += [f"{name}.{path}" for path in _moving(inner)]
    return names


def _plain(value):
    """Keras serializes arrays; a tensor is written as the array it holds."""
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, keras.Model):
            raise ValueError(
                "A configuration holds no weights, so it can't hold a model. "
                f"Received: {part!r}. Save the model to a file of its own, and "
                "build this object again from what you load."
            )
    held = isinstance(value, (tf.Tensor, tf.Variable))
    return np.asarray(value) if held else value
