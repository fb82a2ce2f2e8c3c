"""From a network to one whose weights share few values."""

from tfrobust.compression.cloning import clone, duplicate, leaves
from tfrobust.compression.tfmot import named, takes_network, tfmot


@takes_network
def cluster(model, clusters, preserve_sparsity=False, per_channel=False):
    """Returns a copy in which each kernel has few values, trained by `fit`.

    The values are trained, and each weight takes the nearest. `strip` makes
    stock layers of the result. Cluster a trained network. Frozen layers stay as
    they are.

    Args:
        model: A built functional or Sequential model, or a `RobustModel`.
        clusters: Number of values of a kernel, at least 2, or 3 if sparsity is
            preserved.
        preserve_sparsity: Whether one of the values is 0 and zeros stay zero,
            for pruned and stripped networks.
        per_channel: Whether each filter of a Conv2D has values of its own.

    Raises:
        NotImplementedError: If layers cannot be clustered; all are listed.
        ValueError: If the model or an argument isn't as described.
    """
    least = 3 if preserve_sparsity else 2
    if not isinstance(clusters, int) or clusters < least:
        raise ValueError(
            f"`clusters` must be a whole number of at least {least}. "
            f"Received: clusters={clusters}"
        )
    tools = tfmot().clustering.keras
    copy = duplicate(model)
    wrappers, refused = {}, []
    for layer in leaves(copy):
        if not layer.trainable:
            continue
        try:
            wrapper = tools.cluster_weights(
                layer,
                clusters,
                tools.CentroidInitialization.KMEANS_PLUS_PLUS,
                preserve_sparsity=preserve_sparsity,
                cluster_per_channel=per_channel,
            )
        except ValueError:  # TF-MOT doesn't know the layer.
            if any(len(w.shape) > 1 for w in layer.trainable_weights):
                refused.append(layer)
            continue
        # What has no kernel, or too small a one, stays as it is.
        if hasattr(wrapper, "cluster_centroids") and (
            layer.get_clusterable_weights()
        ):
            wrappers[layer] = wrapper
    if refused:
        raise NotImplementedError(
            "TF-MOT must be able to cluster every layer with a kernel. "
            f"Received also: {named(refused)}. Replace these layers, or "
            "freeze them with trainable=False."
        )
    return clone(copy, wrappers.get)
