"""From a dense network to the sparse binary network inside it."""

import numbers

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression.cloning import check, clone, duplicate, leaves
from tfrobust.compression.densities import layer_densities
from tfrobust.layers import (
    SparseBinaryConv2D,
    SparseBinaryDense,
    SparseBinaryDepthwiseConv2D,
)


def subnetwork(
    model: keras.Model,
    density: float = 0.01,
    p: float = 0.1,
    score_scale: float = 0.01,
    initializer: str = "binary",
    last_normalization: bool = True,
    seed: int = 0,
) -> keras.Model:
    """Returns a sparse binary network of the architecture of `model`.

    Every Conv2D, DepthwiseConv2D and Dense layer becomes its sparse binary
    counterpart, without bias. A regularizer of its kernel becomes the one of
    its scores. Batch normalisation loses its scale and offset, keeps its
    momentum and epsilon, and starts anew. The scores are then all that is
    trained. Other layers, and all that are frozen with `trainable=False`, are
    copied as they are, with their weights.

    Args:
        model: A built functional or Sequential model of logits.
        density: Fraction of all kernel weights that is kept, in (0, 1].
        p: How the kept weights are shared out, see `layer_densities`.
        score_scale: The initial scores are U(-score_scale, score_scale).
        initializer: Of the fixed weights, see `SparseBinary`.
        last_normalization: Whether to normalise the logits too, as the paper
            found to stabilise training: momentum 0.9, epsilon 1e-5.
        seed: Integer that keys signs and scores.

    Raises:
        NotImplementedError: If a layer has trainable weights and no sparse
            binary counterpart; all such layers are listed.
        ValueError: If the model isn't as described, a layer that is copied
            computes something else, or an argument is out of its range.

    Example:
        `sparse = tfr.compression.subnetwork(network, density=0.5)`

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """
    check(model)
    checks.kind(last_normalization, bool, "last_normalization", "True")
    checks.kind(seed, numbers.Integral, "seed", "0")
    layers = leaves(model)
    _check_counterparts(layers)
    hosts = [layer for layer in layers if _is_host(layer)]
    if not hosts:
        raise ValueError(
            "`model` must have a trainable Conv2D, DepthwiseConv2D or Dense "
            f"layer. Received: {model.name!r}, which has none. Layers with "
            "trainable=False stay as they are."
        )
    sizes = [layer.get_weights()[0].size for layer in hosts]
    densities = layer_densities(sizes, density, p)

    def replace(layer):
        normalizes = type(layer) is keras.layers.BatchNormalization
        if normalizes and layer.trainable:
            config = {**layer.get_config(), "center": False, "scale": False}
            return keras.layers.BatchNormalization.from_config(config)
        if layer not in hosts:
            return None
        place = hosts.index(layer)
        return _counterpart(
            layer,
            density=densities[place],
            score_scale=score_scale,
            initializer=initializer,
            seed=seed + place,
        )

    duplicate(model)  # Else a layer that is kept may have lost something.
    network = clone(model, replace)
    return _normalized(network) if last_normalization else network


_SHARED = ("kernel_size", "strides", "padding", "dilation_rate")
_COUNTERPARTS = {
    keras.layers.Dense: (SparseBinaryDense, ("units",)),
    keras.layers.Conv2D: (SparseBinaryConv2D, ("filters", *_SHARED)),
    keras.layers.DepthwiseConv2D: (
        SparseBinaryDepthwiseConv2D,
        ("depth_multiplier", *_SHARED),
    ),
}


def _counterpart(layer, **options):
    """The sparse binary layer of the same name, shape and activation."""
    counterpart, names = _COUNTERPARTS[type(layer)]
    config = layer.get_config()
    regularizer = config.get("depthwise_regularizer")
    return counterpart(
        **{name: config[name] for name in (*names, "name", "dtype")},
        activation=layer.activation,
        score_regularizer=regularizer or config.get("kernel_regularizer"),
        **options,
    )


def _check_counterparts(layers):
    """Refuses all layers at once that cannot become sparse and binary."""
    refused = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in layers
        if not _fits(layer)
    ]
    if refused:
        raise NotImplementedError(
            "Every layer with trainable weights must be a Dense, "
            "BatchNormalization or, channels last and without groups, Conv2D "
            f"or DepthwiseConv2D. Received also: {', '.join(refused)}. Replace "
            "these layers, or freeze them with trainable=False."
        )


def _is_host(layer):
    """Whether the layer becomes sparse and binary."""
    return type(layer) in _COUNTERPARTS and layer.trainable


def _fits(layer):
    if not layer.trainable:
        return True
    if type(layer) in _COUNTERPARTS:
        channels_last = (
            getattr(layer, "data_format", "channels_last") == "channels_last"
        )
        return channels_last and getattr(layer, "groups", 1) == 1
    normalizes = type(layer) is keras.layers.BatchNormalization
    return normalizes or not layer.trainable_weights


def _normalized(network):
    """Appends a normalisation of the logits."""
    last = keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        center=False,
        scale=False,
        dtype="float32",
        name="logits_normalization",
    )
    if isinstance(network, keras.Sequential):
        network.add(last)
        return network
    return keras.Model(network.input, last(network.output), name=network.name)
