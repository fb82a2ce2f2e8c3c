"""Configuration read from the signature of `__init__`."""

import copy
import inspect

import numpy as np
import tensorflow as tf

from tfrobust.backend import Schedule, keras


class Configurable:
    """An object whose configuration is the arguments of its `__init__`.

    Each argument is kept as the attribute of its name. From this follow
    `get_config`, `from_config`, `repr`, `replace` and `at`.
    """

    def get_config(self):
        """Returns the arguments of `__init__`, serialized by Keras."""
        return {
            name: keras.saving.serialize_keras_object(_plain(value))
            for name, value in self._arguments().items()
        }

    @classmethod
    def from_config(cls, config):
        """Builds the object from what `get_config` returned."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            }
        )

    def replace(self, **attributes):
        """Returns a copy with some attributes replaced."""
        other = copy.copy(self)
        for name, value in attributes.items():
            setattr(other, name, value)
        return other

    def at(self, step):
        """Returns a copy with every schedule replaced by its value at `step`.

        Args:
            step: Scalar integer, the optimizer's step.
        """
        return self.replace(
            **{
                name: _at(value, step)
                for name, value in vars(self).items()
                if isinstance(value, Schedule | Configurable)
            }
        )

    def schedules(self):
        """Returns the names of the attributes that move with the step."""
        names = []
        for name, value in vars(self).items():
            if isinstance(value, Schedule):
                names.append(name)
            elif isinstance(value, Configurable):
                names += [f"{name}.{inner}" for inner in value.schedules()]
        return names

    def _arguments(self):
        parameters = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in list(parameters)[1:]}

    def __repr__(self):
        arguments = (f"{k}={v!r}" for k, v in self._arguments().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def _at(value, step):
    if isinstance(value, Schedule):
        return tf.cast(value(step), tf.float32)
    return value.at(step)


def _plain(value):
    """Keras serializes arrays; a tensor is written as the array it holds."""
    held = isinstance(value, (tf.Tensor, tf.Variable))
    return np.asarray(value) if held else value
