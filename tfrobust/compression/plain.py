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
    included. Everything that reads Keras models reads the result: export,
    conversion, quantisation, verification.

    Args:
        model: A functional or Sequential model, or a `RobustModel` of one
            (its averaged weights, if it has any).

    Raises:
        ValueError: If there is no such layer, or the model isn't as described.

    Example:
        ```
        sparse = tfr.compression.subnetwork(network, density=0.5)
        stock = tfr.compression.plain(sparse)
        ```
    """
    check(model)
    if not any(hasattr(layer, "plain") for layer in leaves(model)):
        raise ValueError(
            "`model` must have sparse or binary layers. Received: "
            f"{model.name!r}, which has none and is plain already. Did you "
            "mean to call `subnetwork` first?"
        )

    def replace(layer):
        return layer.plain() if hasattr(layer, "plain") else None

    copy = clone(model, replace)
    compare(model, copy)
    return copy
