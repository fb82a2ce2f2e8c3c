"""Finding and loading what the zoo holds."""

import json
import pathlib
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.backend import keras
from tfrobust.zoo import chains

_MODELS = pathlib.Path(__file__).parent / "models"


def list() -> tuple[str, ...]:
    """The names of all networks of the zoo.

    Example:
        `tfr.zoo.list()`
    """
    weights = _MODELS.glob("*.npz")
    return tuple(sorted(p.stem for p in weights if files.card_of(p).exists()))


def load(name: str) -> keras.Model:
    """A network of the zoo, without a download.

    Its weights are compared with the hash on its card.

    Args:
        name: One of `list()`, such as `"mnist_cnn_linf_0.1"`.

    Returns:
        A Keras model of images in [0, 1] to logits, untrained by this process;
        `tfr.RobustModel(...)` of it can be trained on.

    Raises:
        ValueError: If there is no such network, or its files are damaged.

    Example:
        `network = tfr.zoo.load("mnist_cnn_linf_0.1")`
    """
    known = card(name)
    path = _MODELS / f"{name}.npz"
    files.check_hash(path)
    model = chains.built(known["network"], known["name"])
    with np.load(path) as weights:
        chains.set_weights(model, weights)
    return model


def card(name: str) -> dict[str, Any]:
    """The robustness card of a network of the zoo.

    Beside what the card of `export` says: `command`, which trained and
    certified it, and `network`, its layers.

    Args:
        name: One of `list()`.

    Raises:
        ValueError: If there is no such network.

    Example:
        `tfr.zoo.card("mnist_cnn_linf_0.1")["report"]["certified_accuracy"]`
    """
    if name not in list():
        raise ValueError(
            f"`name` must be one of {', '.join(list())}. Received: {name!r}"
        )
    return json.loads(files.card_of(_MODELS / f"{name}.npz").read_text())
