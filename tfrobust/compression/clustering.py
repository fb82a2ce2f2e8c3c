"""From a network to one whose weights share few values."""

from collections.abc import Collection

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression.cloning import clone, duplicate, leaves
from tfrobust.compression.tfmot import (
    check_found,
    chosen,
    has_other_kernels,
    named,
    takes_network,
    tfmot,
)


@takes_network
def cluster(
    model: keras.Model,
    clusters: int,
    preserve_sparsity: bool = False,
    per_channel: bool = False,
    layers: Collection[str] | None = None,
) -> keras.Model:
    """Returns a copy in which each kernel has few values, trained by `fit`.

    The values are trained, and each weight takes the nearest. `strip` makes
    stock layers of the result. Cluster a trained network. A `RobustModel` of
    it is saved as `.keras` and loaded as any other.

    Args:
        model: A built functional or Sequential model, or a `RobustModel`.
        clusters: Number of values of a kernel, at least 2, or 3 if sparsity is
            preserved.
        preserve_sparsity: Whether one of the values is 0 and zeros stay zero,
            for pruned and stripped networks.
        per_channel: Whether each filter of a Conv2D has values of its own.
        layers: Names of the layers to cluster; None for all but frozen ones.

    Raises:
        NotImplementedError: If layers cannot be clustered; all are listed.
        ValueError: If the model or an argument isn't as described.

    Example:
        `clustered = tfr.compression.cluster(model, clusters=16)`
    """
    checks.count(clusters, "clusters", 3 if preserve_sparsity else 2)
    checks.kind(preserve_sparsity, bool, "preserve_sparsity", "True")
    checks.kind(per_channel, bool, "per_channel", "True")
    copy = duplicate(model)
    wrappers, refused = {}, []
    for layer in chosen(leaves(copy), layers):
        try:
            wrapper = _wrapper(layer, clusters, preserve_sparsity, per_channel)
            kernels = _kernels(layer)
        except ValueError:  # TF-MOT doesn't know the layer.
            wrapper, kernels = None, []
        if (
            has_other_kernels(layer, kernels)
            or not (kernels or layers is None)
            # TF-MOT has no way back from it.
            or isinstance(layer, keras.layers.MultiHeadAttention)
        ):
            refused.append(layer)
        elif kernels and wrapper:
            wrappers[layer] = wrapper
    if refused:
        raise NotImplementedError(
            "TF-MOT must be able to cluster every kernel of every layer. "
            f"Received also: {named(refused)}. Name the layers to cluster in "
            "`layers`."
        )
    check_found(wrappers, model)
    return clone(copy, wrappers.get)


def _kernels(layer):
    """What TF-MOT clusters of a layer that it took."""
    find = getattr(layer, "get_clusterable_weights", None)
    return [kernel for _, kernel in find()] if find else []


def _wrapper(layer, clusters, preserve_sparsity, per_channel):
    """A layer of TF-MOT's around this one, or None if it has few weights."""
    tools = tfmot().clustering.keras
    options = {
        "number_of_clusters": clusters,
        "cluster_centroids_init": tools.CentroidInitialization.KMEANS_PLUS_PLUS,
        "preserve_sparsity": preserve_sparsity,
    }
    if type(layer) is not keras.layers.Conv2D:
        wrapper = tools.cluster_weights(layer, **options)
        return wrapper if hasattr(wrapper, "cluster_centroids") else None
    if per_channel and layer.data_format == "channels_first":
        raise ValueError("TF-MOT takes the width of kernels for its filters.")
    # Without a bias, `cluster_weights` takes the kernel's size for the number
    # of its filters, and does nothing.
    groups = layer.filters if per_channel else 1
    with tools.cluster_scope():
        kind = keras.saving.get_registered_object("ClusterWeights")
    wrapper = kind(layer, cluster_per_channel=per_channel, **options)
    few = layer.kernel.shape.num_elements() <= clusters * groups
    return None if few else wrapper
