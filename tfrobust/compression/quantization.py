"""From a network to one that computes with the roundings of 8-bit integers."""

import warnings
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression.calibration import calibrate
from tfrobust.compression.cloning import OPERATIONS, leaves
from tfrobust.compression.tfmot import check_names, named, takes_network, tfmot


@takes_network
def quantize(
    model: keras.Model,
    calibration: np.ndarray | tf.Tensor,
    low: float = 0.0,
    high: float = 1.0,
    preserve_sparsity: bool = False,
    preserve_clusters: bool = False,
    one_bit: Collection[str] = (),
) -> keras.Model:
    """Returns a copy with TF-MOT's fake quantisation, calibrated for attacks.

    Train it further with `fit`; it is a network like any other, and attacks
    and verifiers see its roundings. TF-MOT leaves the ranges open, and a value
    outside of its range has no gradient: an attack then finds nothing, and the
    network passes for robust. So they are set here, see `calibrate`.

    Prune, cluster, train and strip first. Afterwards save the network, not the
    `RobustModel`, as `.h5` or with `save_format="tf"`, and load it under
    `tfr.compression.scope()`; or `save_weights` for the same network quantised
    again. tf_keras fails to load `.keras` files of quantised layers, so a
    `RobustModel` of them refuses to write one. Loaded
    `.h5` files and folders compute the same, but no longer preserve zeros or
    clusters when they are trained.

    Args:
        model: A built functional or Sequential model, or a `RobustModel`.
        calibration: Typical inputs in `[low, high]`, shape `[batch, ...]`.
        low: Smallest valid value of an input, as in the threat.
        high: Largest valid value of an input.
        preserve_sparsity: Whether zeros of kernels stay zero in training.
        preserve_clusters: Whether kernels keep their number of values.
        one_bit: Names of the Conv2D, DepthwiseConv2D and Dense layers whose
            kernels get one bit, see `OneBitConfig`; True for all of them.

    Raises:
        NotImplementedError: If layers cannot be quantised; all are listed.
        ValueError: If the model or an argument isn't as described, or an
            example of `calibration` has no input gradient.

    Example:
        `quantized = tfr.compression.quantize(model, x_train[:256])`

    Reference: Jacob et al., 2018, arXiv 1712.05877.
    """
    from tfrobust.compression.eight_bits import EightBits

    layers = leaves(model)
    for name, value in {
        "preserve_sparsity": preserve_sparsity,
        "preserve_clusters": preserve_clusters,
    }.items():
        checks.kind(value, bool, name, "True")
    _check_layers(model, layers)
    scheme = EightBits(
        _scheme(preserve_sparsity, preserve_clusters), _one_bit(layers, one_bit)
    )
    tools = tfmot().quantization.keras
    with warnings.catch_warnings():
        # TF-MOT warns of what it leaves out, such as Lambda layers.
        warnings.simplefilter("ignore")
        annotated = tools.quantize_annotate_model(model)
    quantized = tools.quantize_apply(annotated, scheme)
    left_out = [x for x in layers if isinstance(x, keras.layers.Lambda)]
    refused = {layer.name: layer for layer in left_out + scheme.refused}
    _check_refused(refused.values())
    return calibrate(quantized, calibration, low, high)


_KERNELS = ("Conv2D", "DepthwiseConv2D", "Dense")


def _check_layers(model, layers):
    """Refuses what TF-MOT stumbles over before it reads its registry."""
    if len(model.inputs) != 1:
        raise ValueError(
            "`model` must have one input. Received: "
            f"{model.name!r}, which has {len(model.inputs)}."
        )
    operations = [x for x in layers if type(x).__name__ in OPERATIONS]
    _check_refused(operations)
    nested = [x for x in model.layers if isinstance(x, keras.Model)]
    wrapped = [x for x in layers if isinstance(x, keras.layers.Wrapper)]
    if nested or wrapped:
        raise ValueError(
            "`model` must have plain layers. Received also: "
            f"{named(nested + wrapped)}. Put the layers of models inside into "
            "one model, and pass pruned or clustered ones through "
            "tfr.compression.strip."
        )


def _check_refused(refused):
    if refused:
        raise NotImplementedError(
            "TF-MOT must be able to quantise every layer and its activation. "
            f"Received also: {named(refused)}. Replace these layers. Put "
            "BatchNormalization behind a convolution or Dense without "
            "activation, and scale inputs before the network."
        )


def _scheme(preserve_sparsity, preserve_clusters):
    tools = tfmot()
    combine = tools.experimental.combine
    if preserve_clusters:
        return combine.Default8BitClusterPreserveQuantizeScheme(
            preserve_sparsity
        )
    if preserve_sparsity:
        return combine.Default8BitPrunePreserveQuantizeScheme()
    return tools.quantization.keras.default_8bit.Default8BitQuantizeScheme()


def _one_bit(layers, names):
    """The names of the layers with one-bit kernels."""
    fit = [x.name for x in layers if type(x).__name__ in _KERNELS]
    if names is True:
        return fit
    check_names(names, "one_bit")
    unfit = sorted(set(names) - set(fit))
    if unfit:
        raise ValueError(
            "`one_bit` must name Conv2D, DepthwiseConv2D or Dense layers of "
            f"the model. Received also: {', '.join(unfit)}"
        )
    return names
