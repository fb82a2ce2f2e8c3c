"""From a network with hidden kernels to one of stock Keras layers."""

from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.compression.cloning import check, clone, leaves
from tfrobust.compression.comparison import compare


@on_network
def plain(model: keras.Model) -> keras.Model:
    """Returns the same network in stock Keras layers, with equal outputs.

    Every layer with a hidden kernel, sparse or binary, becomes the Conv2D,
    DepthwiseConv2D or Dense layer whose kernel is what it applies, zeros
    included; so does one inside of TimeDistributed. Everything that reads Keras
    models reads the result: export, conversion, quantisation, verification.

    Args:
        model: A functional or Sequential model, or a `RobustModel` of one
            (its averaged weights, if it has any).

    Raises:
        ValueError: If there is no such layer, another layer has one inside, or
            the model isn't as described.

    Example:
        ```
        sparse = tfr.compression.subnetwork(network, density=0.5)
        stock = tfr.compression.plain(sparse)
        ```
    """
    check(model)
    _refuse_inside(leaves(model))
    if not _hides(model):
        raise ValueError(
            "`model` must have sparse or binary layers. Received: "
            f"{model.name!r}, which has none and is plain already. Did you "
            "mean to call `subnetwork` first?"
        )
    copy = clone(model, _stock)
    compare(model, copy)
    return copy


def made_plain(model: keras.Model) -> keras.Model:
    """The network by `plain`; the model itself if it is plain already.

    Raises:
        ValueError: If a layer has one with a hidden kernel inside.
    """
    _refuse_inside(leaves(model))
    return plain(model) if _hides(model) else model


def _hides(model):
    """Whether a model has a layer that `plain` replaces."""
    return any(_replaceable(layer) for layer in leaves(model))


def _stock(layer):
    """The layer that takes the place of one, None if it stays."""
    if hasattr(layer, "plain"):
        return layer.plain()
    if not _replaceable(layer):
        return None
    config = layer.get_config()
    del config["layer"]
    return type(layer)(layer.layer.plain(), **config)


def _replaceable(layer):
    """Whether it has a hidden kernel, or applies one that has at each step."""
    steps = type(layer) is keras.layers.TimeDistributed
    return hasattr(layer.layer if steps else layer, "plain")


def _refuse_inside(layers):
    """Refuses layers that keep one with a hidden kernel inside."""
    wrapped = [
        f"{layer.name} ({type(layer).__name__}) around {inner.name}"
        for layer in layers
        if not _replaceable(layer)
        for inner in _inner(layer)
        if hasattr(inner, "plain")
    ]
    if wrapped:
        raise ValueError(
            "`model` must have its sparse and binary layers outside of others, "
            f"but for TimeDistributed. Received: {', '.join(wrapped)}. Put "
            "them into the model itself."
        )


def _inner(layer):
    """The layers inside of one; an operation has none."""
    flatten = getattr(layer, "_flatten_layers", None)
    return flatten(include_self=False) if flatten else ()
