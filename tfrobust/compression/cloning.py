"""Copies of a model in which some layers are others."""

from tfrobust.backend import NAME, check_network, keras


def clone(model, replace):
    """Copies a model with its weights, and with other layers in some places.

    Args:
        model: A built functional or Sequential model, see `check`.
        replace: Maps a layer to the one that takes its place, or to None to
            copy it.
    """
    copies = []

    def copied(layer):
        if isinstance(layer, keras.Model):
            return clone(layer, replace)
        new = replace(layer)
        if new is None:
            new = type(layer).from_config(layer.get_config())
            copies.append((layer, new))
        return new

    result = keras.models.clone_model(model, clone_function=copied)
    for layer, new in copies:
        new.set_weights(layer.get_weights())
    return result


def leaves(model):
    """Returns the layers of a model, and those of models in it."""
    found = []
    for layer in model.layers:
        inner = leaves(layer) if isinstance(layer, keras.Model) else [layer]
        found += [leaf for leaf in inner if leaf not in found]
    return found


def check(model):
    """Refuses a model that cannot be cloned layer by layer."""
    check_network(model)
    if len(getattr(model, "outputs", None) or []) != 1:
        raise ValueError(
            f"`model` must be a functional or Sequential model of {NAME} that "
            f"is built and has one output. Received: {model!r}. Build a "
            "Sequential model by starting it with keras.Input."
        )
