"""Models by the name of their file."""

import pathlib
from typing import Any

from tfrobust.backend import keras


def check(name: str, path: str | None) -> None:
    """Refuses the value of a flag that can't be a model.

    Args:
        name: The flag's name.
        path: A .keras or .tflite file, or a SavedModel's folder; None passes.

    Raises:
        ValueError: If there is no model.
    """
    if path is None:
        return
    if not pathlib.Path(path).exists():
        raise ValueError(f"--{name}: there is nothing at {path}.")
    if not (_stands_as_it_is(path) or path.endswith(".keras")):
        raise ValueError(
            f"--{name} must be a .keras or .tflite file or a SavedModel's "
            f"folder. Received: {path}"
        )


def load(name: str, path: str) -> Any:
    """A Keras model, or the path of what is evaluated as it is."""
    check(name, path)
    if _stands_as_it_is(path):
        return path
    return keras.models.load_model(path)


def load_keras(name: str, path: str) -> Any:
    """A Keras model, and nothing else."""
    check(name, path)
    if not path.endswith(".keras"):
        raise ValueError(f"--{name} must be a .keras file. Received: {path}")
    return keras.models.load_model(path)


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


def _stands_as_it_is(path):
    served = pathlib.Path(path, "saved_model.pb").exists()
    return served or path.endswith(".tflite")
