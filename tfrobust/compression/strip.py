"""From the wrappers of TF-MOT back to stock Keras layers."""

from tfrobust.backend import keras
from tfrobust.compression.cloning import clone, leaves
from tfrobust.compression.comparison import compare
from tfrobust.compression.tfmot import takes_network, tfmot


@takes_network
def strip(model: keras.Model) -> keras.Model:
    """Returns the network without what TF-MOT needs for training only.

    Pruned and clustered layers become stock layers, masked or clustered once
    more first. TF-MOT has no way back from quantised layers: they stay, and
    lose the clusters they preserved; the result then shares them with `model`,
    which must not be trained further.

    Args:
        model: A pruned, clustered or quantised model, or a `RobustModel` of
            one.

    Raises:
        ValueError: If there is nothing to strip.

    Example:
        `network = tfr.compression.strip(pruned)`
    """
    tools = tfmot()
    layers = leaves(model)
    for layer in layers:
        if hasattr(layer, "pruning_obj"):
            layer.pruning_obj.weight_mask_op()
    quantized = tools.quantization.keras.QuantizeWrapper
    if any(isinstance(layer, quantized) for layer in layers):
        stripped = tools.experimental.combine.strip_clustering_cqat(model)
        compare(model, stripped)
        return stripped
    if not any(
        hasattr(x, "pruning_obj") or hasattr(x, "cluster_centroids")
        for x in layers
    ):
        raise ValueError(
            "`model` must be pruned, clustered or quantised. Received: "
            f"{model.name!r}, which has nothing to strip."
        )
    stripped = tools.sparsity.keras.strip_pruning(model)
    stripped = tools.clustering.keras.strip_clustering(stripped)
    # TF-MOT's result shares layers with the model.
    copy = clone(stripped, lambda layer: None)
    compare(model, copy)
    return copy
