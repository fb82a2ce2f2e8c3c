"""The ranges to which a quantised network rounds."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.compression.cloning import leaves
from tfrobust.compression.tfmot import checked_network, tfmot


def calibrate(
    model: keras.Model,
    calibration: np.ndarray | tf.Tensor,
    low: float = 0.0,
    high: float = 1.0,
) -> keras.Model:
    """Sets every range of a quantised network, in place, and checks gradients.

    The input's range is `[low, high]`, a little wider where 0 would not be on
    the grid of 8 bits else, since at a value outside of it no gradient passes.
    Activations take the range that they have on `calibration` in inference
    mode, kernels their own. What leaves a range is clipped: calibrate with
    attacked inputs among the others.

    Args:
        model: A model that TF-MOT quantised, or a `RobustModel` of one.
        calibration: Typical inputs in `[low, high]`, shape `[batch, ...]`.
        low: Smallest valid value of an input, as in the threat.
        high: Largest valid value of an input.

    Returns:
        The model, of a `RobustModel` its network.

    Raises:
        ValueError: If the model isn't quantised, an input lies outside of the
            range, or an example has no input gradient.

    Example:
        `tfr.compression.calibrate(quantized, x_train[:256])`
    """
    model = checked_network(model)
    checks.finite(low=low, high=high)
    if not low < high:
        raise ValueError(
            f"`low` must be below `high`. Received: [{low}, {high}]"
        )
    if np.ndim(calibration) == 0 or len(calibration) == 0:
        raise ValueError(
            "`calibration` must hold at least one example. Received: "
            f"{calibration!r}"
        )
    x = checks.inputs(calibration, low, high)
    if not tf.TensorShape(model.input_shape).is_compatible_with(x.shape):
        raise ValueError(
            "`calibration` must have the shape of the model's inputs, "
            f"{model.input_shape}. Received: {tuple(x.shape)}"
        )
    tools = tfmot().quantization.keras
    layers = leaves(model)
    wrappers = [
        layer for layer in layers if isinstance(layer, tools.QuantizeWrapper)
    ]
    if not wrappers:
        raise ValueError(
            "`model` must be quantised, by tfr.compression.quantize or by "
            f"TF-MOT. Received: {model.name!r}, which has no quantised layer."
        )
    for layer in layers:
        if getattr(layer, "quantizer_vars", None):
            ends = input_range(low, high)
            layer.quantizer_vars["min_var"].assign(ends[0])
            layer.quantizer_vars["max_var"].assign(ends[1])
    _observe(model, x, wrappers)
    _check_gradients(model, x)
    return model


def input_range(
    low: float, high: float, levels: int = 255
) -> tuple[float, float]:
    """The smallest range around `[low, high]` with 0 on its grid.

    TensorFlow moves a range until 0 is on the grid, and then clips what was
    moved out of it.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    # A bit more, or float32 may round the ends to the wrong side.
    width = (1 + 1e-6) * (high - low)
    below = -low / (high - low) * levels  # Steps below 0.
    if abs(below - round(below)) > 1e-6:
        below = math.ceil(-low / (high - low) * (levels - 1) - 1e-6)
        width *= levels / (levels - 1)
    step = width / levels
    return -round(below) * step, (levels - round(below)) * step


class _Observer:
    """Stands in for a quantizer and sets its range from what it quantises.

    Args:
        quantizer: The `Quantizer` of TF-MOT.
        kernel: Whether it quantises a kernel, whose range TF-MOT sets itself.
    """

    def __init__(self, quantizer, kernel=False):
        self.quantizer, self.kernel = quantizer, kernel

    def __call__(self, inputs, training, weights, **kwargs):
        if self.kernel:
            return self.quantizer(inputs, True, weights=weights)
        if weights and "min_var" in weights:
            # The range must hold 0.
            least = tf.minimum(tf.reduce_min(inputs), 0.0)
            most = tf.maximum(tf.reduce_max(inputs), 0.0)
            weights["min_var"].assign(least)
            weights["max_var"].assign(most)
        return self.quantizer(inputs, False, weights=weights)


def _observe(model, x, wrappers):
    """Runs the model once with observers in the place of quantizers.

    TF-MOT's moving averages would need thousands of batches to forget where
    they began. There is no public way to reach its quantizers.
    """
    saved = [(w._weight_vars, w._output_quantizers) for w in wrappers]
    owners = [a for w in wrappers for a in w._quantize_activations]
    quantizers = [owner.quantizer for owner in owners]
    try:
        for wrapper in wrappers:
            wrapper._weight_vars = [
                (weight, _Observer(quantizer, kernel=True), ranges)
                for weight, quantizer, ranges in wrapper._weight_vars
            ]
            wrapper._output_quantizers = [
                _Observer(q) for q in wrapper._output_quantizers
            ]
        for owner, quantizer in zip(owners, quantizers, strict=True):
            owner.quantizer = _Observer(quantizer)
        model(x, training=False)
    finally:
        for wrapper, (kernels, outputs) in zip(wrappers, saved, strict=True):
            wrapper._weight_vars, wrapper._output_quantizers = kernels, outputs
        for owner, quantizer in zip(owners, quantizers, strict=True):
            owner.quantizer = quantizer


def _check_gradients(model, x):
    """Refuses a network that hides the gradient of an example."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(x, training=False)
        # Not the sum: those of many networks cancel.
        best = tf.reduce_max(logits, axis=-1)
        margin = best - tf.reduce_mean(logits, axis=-1)
    gradient = tf.reshape(tape.gradient(margin, x), [len(x), -1])
    hidden = ~tf.reduce_any(gradient != 0, axis=1)
    count = int(tf.math.count_nonzero(hidden))
    if count:
        raise ValueError(
            "Every example of `calibration` must have an input gradient, or "
            "attacks are blind and the network passes for robust. Received "
            f"{count} of {len(x)} without. Train the network before it is "
            "quantised, and calibrate with inputs like those it was trained on."
        )
