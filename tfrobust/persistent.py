"""Saving and loading a model with all that it was compiled with."""

import contextlib
from typing import Any

from tfrobust import backend
from tfrobust.averaging import Averaging
from tfrobust.backend import as_in_keras, keras
from tfrobust.plan import NoPlan


class Persistent(Averaging):
    """A model of a network and a memory, and of what `compile` took.

    Not even an uncompiled one lacks a plan: its own refuses to train.
    """

    # What rooms above know of files: functions of a configuration to the scope
    # that it is loaded under, and of a network and a path that may refuse.
    load_scopes: list = []
    save_checks: list = []
    _plan: Any = NoPlan()  # Until `compile`.

    @as_in_keras
    def save(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but whole or not at all, and only what can be loaded."""
        for check in self.save_checks:
            check(self.network, str(filepath))
        super().save(filepath, overwrite, **kwargs)

    @as_in_keras
    def export(self, filepath, *args, **kwargs):
        """As in Keras, of the network; `tfr.export` writes more, and checks."""
        with self.averaged():
            return self.network.export(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        memory = keras.saving.serialize_keras_object(self.memory)
        return {
            # Where the class isn't known, Keras shows the configuration.
            "load": "import tfrobust first",
            "name": self.name,
            "network": network,
            "memory": memory,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "Persistent":
        with contextlib.ExitStack() as stack:
            for scope in cls.load_scopes:
                stack.enter_context(scope(config))
            parts = "network", "memory"
            arguments = backend.restored(config, custom_objects, *parts)
        arguments.pop("load", None)
        return cls(**arguments)

    def get_compile_config(self) -> dict[str, Any]:
        recipe: dict[str, Any] = self._plan.recipe
        recipe = recipe and {**recipe, "training": self._training}
        return {
            name: keras.saving.serialize_keras_object(value)
            for name, value in recipe.items()
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        if config:
            recipe = keras.saving.deserialize_keras_object(config)
            self._training = recipe.pop("training", False)
            self.compile(**recipe)
            backend.build_optimizer(self)
