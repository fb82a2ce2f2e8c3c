"""Exporting a model to LiteRT (TensorFlow Lite), for phones and boards."""

import os
import pathlib
import re
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from tfrobust import backend, files
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.compression.cloning import clone
from tfrobust.compression.tfmot import is_quantized
from tfrobust.evaluation.litert import LiteRT
from tfrobust.evaluation.report import Report
from tfrobust.exporting import card
from tfrobust.exporting.attacked import attacked
from tfrobust.exporting.comparison import check_equal, probes
from tfrobust.exporting.convolved_dense import ConvolvedDense
from tfrobust.exporting.problem import (
    check_answers,
    check_report,
    input_spec,
    resolved,
    stock,
)
from tfrobust.exporting.served_network import ServedNetwork
from tfrobust.types import TensorLike

# How far logits may move, as a fraction of the largest: 8 bits for every
# activation of many layers, or the 11 bits of float16 for every weight.
FORMATS = {"int8_sparse": 0.25, "int8": 0.25, "float16": 0.02}
COMPARED = 64  # Of the calibration, how many inputs are compared.


@on_network
def export_litert(
    model: keras.Model,
    path: str | os.PathLike,
    format: str = "int8_sparse",
    calibration: np.ndarray | tf.Tensor | None = None,
    input_name: str = "image",
    data: tuple[TensorLike, TensorLike] | tf.data.Dataset | None = None,
    attack: Attack | None = None,
    report: Report | None = None,
) -> pathlib.Path:
    """Writes a LiteRT file that needs neither tfrobust nor TensorFlow to run.

    Its signature `serving_default` takes `input_name`, shape `[batch, ...]`,
    and gives `logits`, both float32. Networks with hidden kernels are written
    in stock layers; their signs survive 8 bits exactly. The file is loaded
    again and compared before it takes its place; a robustness card stands
    beside it, `path` with `.json` appended.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), or a
            Keras model of logits; built, and with one input.
        path: File to write, which ends in `.tflite`.
        format: `"int8"`; `"int8_sparse"`, which stores the kept weights alone
            and unpacks them at load; or `"float16"`.
        calibration: Inputs `[n, ...]` from which the ranges of the 8-bit
            activations are read; a hundred of the training set do.
        input_name: Name of the input, a Python identifier.
        data: A pair of arrays, inputs and integer labels, on which what was
            written is attacked; the accuracies go on the card.
        attack: The `Attack` on the data. A file has no gradients, so points
            are found on the model and judged on the file.
        report: A `Report` on the model, for the card.

    Returns:
        Path of the file.

    Raises:
        FileExistsError: If the file exists.
        TypeError: If `model` isn't a model of the Keras in use, or `data`
            comes without an attack.
        ValueError: If an argument isn't as expected, or the file differs.

    Example:
        `tfr.export_litert(model, "digits.tflite", calibration=x_train[:100])`
    """
    path = pathlib.Path(path)
    _check(path, format, calibration)
    backend.check_network(model)
    check_report(report)
    spec = input_spec(model, input_name)
    check_answers(model, spec)
    attack, data = resolved(model, spec, None, data, attack)
    if calibration is not None:
        calibration = _calibration(calibration, spec, attack)
    with files.new_file(path, overwrite=False) as new:
        network = stock(model)
        new.write_bytes(_converted(network, spec, format, calibration))
        x = probes(spec) if calibration is None else calibration[:COMPARED]
        copy, logits = _loaded(new, x, format)
        tolerance, found = FORMATS[format], None
        check_equal("logits", logits, model(x, training=False), tolerance)
        if data is not None:
            clean, worst = attacked(copy, model, attack, data, model, tolerance)
            found = card.accuracies(clean, worst, attack)
        kind = f"LiteRT {format}"
        about = card.of_file(new, network, kind, found, report)
        card.write(files.card_of(new), about)
    return path


def _converted(network, spec, format, calibration):
    """The contents of the file."""
    taken_apart = getattr(network, "outputs", None) and (
        not is_quantized(network)  # Wrappers of TF-MOT hide its layers.
    )
    if format == "int8_sparse" and taken_apart:
        network = clone(network, _convolved)
    served = ServedNetwork(network, spec, pack=False)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter calibrates with an interpreter that it deprecates.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        tf.saved_model.save(served, folder, served.signatures(("logits",)))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format == "float16":
            converter.target_spec.supported_types = [tf.float16]
            return _convert(converter)
        if format == "int8_sparse":
            sparse = tf.lite.Optimize.EXPERIMENTAL_SPARSITY
            converter.optimizations.append(sparse)
        int8 = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        converter.target_spec.supported_ops = [int8]
        converter.representative_dataset = lambda: (
            {spec.name: sample[np.newaxis]} for sample in calibration
        )
        return _convert(converter)


def _convert(converter):
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        return converter.convert()
    except ConverterError as error:
        named = re.search(r'"(\w+):"', str(error))
        reason = named[1] if named else str(error).splitlines()[0]
        raise ValueError(
            "What is exported must consist of ops that LiteRT has. Its "
            f"converter refused the network because of: {reason}. Replace the "
            "layer, or write a SavedModel with tfr.export."
        ) from error


def _calibration(calibration, spec, attack):
    """The calibration as an array, once it is known to fit."""
    try:
        x = np.asarray(calibration, np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "`calibration` must be an array of inputs. Received: "
            f"{type(calibration).__name__}"
        ) from error
    if not spec.shape.is_compatible_with(x.shape):
        raise ValueError(
            f"`calibration` must hold inputs of the model's shape, "
            f"{spec.shape}. Received: {x.shape}"
        )
    if not np.all(np.isfinite(x)) or x.min() == x.max():
        raise ValueError(
            "`calibration` must hold finite inputs that differ, as those of "
            f"the training set. Received: values from {x.min()} to {x.max()}."
        )
    if attack is not None:
        attack.threat.checked(x)
    return x


def _convolved(layer):
    return ConvolvedDense(layer) if type(layer) is keras.layers.Dense else None


def _loaded(path, x, format):
    """The file as a callable, and its answers for x."""
    try:
        copy = LiteRT(path)
        return copy, copy(x)
    except RuntimeError as error:
        raise ValueError(
            "What is exported must run in LiteRT's default interpreter. "
            f"Received a network that doesn't with format={format!r}: "
            f"{error}. Choose another format."
        ) from error


def _check(path, format, calibration):
    if format not in list(FORMATS):
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)}. "
            f"Received: format={format!r}"
        )
    if path.suffix != ".tflite":
        raise ValueError(
            f"`path` must end in .tflite. Received: path={str(path)!r}"
        )
    if path.exists():
        raise FileExistsError(
            f"{path} exists and is kept as it is. Choose another path."
        )
    if format != "float16" and (calibration is None or len(calibration) == 0):
        raise ValueError(
            f"`format={format!r}` needs `calibration`, inputs from which the "
            "ranges of the activations are read. Pass a hundred of the "
            "training set, or use format='float16'."
        )
