"""Copies of a model in which some layers are others."""

import tempfile
from collections.abc import Callable
from typing import Any

from tfrobust.backend import NAME, check_network, keras
from tfrobust.compression.comparison import compare

# What tf_keras makes of `a + b`, where Keras 3 has operations that are no
# layers. They are not public.
OPERATIONS = ("SlicingOpLambda", "TFOpLambda")


def duplicate(model: keras.Model) -> keras.Model:
    """Returns a copy with all that the model holds, after comparing the two.

    Args:
        model: A built functional or Sequential model, see `check`.

    Raises:
        ValueError: If a layer cannot be copied, or the outputs differ.
    """
    copy = clone(model, lambda layer: None)
    compare(model, copy)
    return copy


def clone(model: keras.Model, replace: Callable) -> keras.Model:
    """Copies a model with its weights, and with other layers in some places.

    Args:
        model: A built functional or Sequential model, see `check`.
        replace: Maps a layer to the one that takes its place, or to None to
            copy it.
    """
    made: dict = {}  # By identity: what models inside share is made once.
    copies = []

    def copied(part):
        if id(part) not in made:
            made[id(part)] = new(part)
        return made[id(part)]

    def new(part):
        if isinstance(part, keras.Model):
            check_graph(part)
            return keras.models.clone_model(part, clone_function=copied)
        is_layer = isinstance(part, keras.layers.Layer)
        found = replace(part) if is_layer else None
        if found is None:
            found = anew(part)
            copies.append((part, found))
        return found

    result = copied(model)
    for part, copy in copies:
        carry(part, copy)
    return result


def anew(part: Any) -> Any:
    """A layer or operation of the same configuration, without its weights."""
    if isinstance(part, keras.Model):
        return clone(part, lambda layer: None)
    try:
        return type(part).from_config(part.get_config())
    except Exception as error:  # Whatever code of the user's raises.
        raise ValueError(
            "Every layer must be one that its `get_config` makes anew. "
            f"Received: {part.name} ({type(part).__name__}), with which that "
            f"fails: {error}"
        ) from error


def carry(layer: Any, copy: Any) -> None:
    """Gives a copy the state of a layer: what is no weight of it too."""
    if not hasattr(layer, "get_weights"):  # An operation.
        return
    copy.set_weights(layer.get_weights())
    for old, new in zip(
        layer._flatten_layers(), copy._flatten_layers(), strict=True
    ):
        settle(new)
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if hasattr(old, "save_assets"):  # A vocabulary.
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)


def settle(layer: keras.layers.Layer) -> None:
    """Lets a normalisation use the statistics that it was given as weights."""
    if hasattr(layer, "adapt_mean"):
        layer.finalize_state()


def check_graph(model: keras.Model) -> None:
    """Refuses a model that doesn't say how its layers are called."""
    if not getattr(model, "outputs", None):
        raise ValueError(
            "Models inside of a model must be functional or Sequential. "
            f"Received: {model.name} ({type(model).__name__})"
        )


def leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers of a model, and those of models in it."""
    found = []
    for layer in model.layers:
        inner = leaves(layer) if isinstance(layer, keras.Model) else [layer]
        found += [leaf for leaf in inner if leaf not in found]
    return found


def check(model: keras.Model) -> None:
    """Refuses a model that cannot be cloned layer by layer."""
    check_network(model)
    if len(getattr(model, "outputs", None) or []) != 1:
        raise ValueError(
            f"`model` must be a functional or Sequential model of {NAME} that "
            f"is built and has one output. Received: {model!r}. Build a "
            "Sequential model by starting it with keras.Input."
        )
