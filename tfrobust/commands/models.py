"""Models by the name of their file."""

import pathlib
from typing import Any

from tfrobust import zoo
from tfrobust.backend import keras

_ZOO = "zoo:"  # What begins so names a network of the zoo.


def check(name: str, path: str | None) -> None:
    """Refuses the value of a flag that can't be a model.

    Args:
        name: The flag's name.
        path: A .keras or .tflite file, a SavedModel's folder, or zoo:NAME; None
            passes.

    Raises:
        ValueError: If there is no model.
    """
    if path is None:
        return
    if path.startswith(_ZOO):
        if path[len(_ZOO) :] not in zoo.list():
            raise ValueError(
                f"--{name}: the zoo holds {', '.join(zoo.list())}. Received: "
                f"{path}"
            )
        return
    if not pathlib.Path(path).exists():
        raise ValueError(f"--{name}: there is nothing at {path}.")
    if not (_stands_as_it_is(path) or path.endswith(".keras")):
        raise ValueError(
            f"--{name} must be a .keras or .tflite file, a SavedModel's folder "
            f"or zoo:NAME. Received: {path}"
        )


def load(name: str, path: str) -> Any:
    """A Keras model, or the path of what is evaluated as it is."""
    check(name, path)
    if _stands_as_it_is(path):
        return path
    return _keras(path)


def load_keras(name: str, path: str) -> Any:
    """A Keras model, and nothing else."""
    check(name, path)
    if not path.endswith(".keras") and not path.startswith(_ZOO):
        raise ValueError(
            f"--{name} must be a .keras file or zoo:NAME. Received: {path}"
        )
    return _keras(path)


def small_network(shape: tuple[int, ...], classes: int) -> Any:
    """A convolution, if inputs are images, and two dense layers."""
    front = [keras.layers.Flatten()]
    if len(shape) == 3:
        convolution = keras.layers.Conv2D(16, 3, 2, "same", activation="relu")
        front = [convolution, *front]
    return keras.Sequential(
        [
            keras.Input(shape),
            *front,
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(classes),
        ]
    )


def _keras(path):
    if path.startswith(_ZOO):
        return zoo.load(path[len(_ZOO) :])
    return keras.models.load_model(path)


def _stands_as_it_is(path):
    served = pathlib.Path(path, "saved_model.pb").exists()
    return served or path.endswith(".tflite")
