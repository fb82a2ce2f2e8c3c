"""A LiteRT file as a callable of logits."""

import os
import pathlib
import threading
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.types import TensorLike


class LiteRT:
    """What a LiteRT (TensorFlow Lite) file answers; it has no gradients.

    Integer inputs and outputs are quantised and dequantised by the file's own
    scales, as the device that runs it would.

    Args:
        path: The file.

    Call arguments:
        x: Inputs, shape `[batch, ...]`, float32.

    Raises:
        ImportError: If no interpreter is installed.
        ValueError: If the file isn't the one of which the card beside it
            tells, takes more than one input, or has several outputs of which
            none is named `logits`.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        files.check_hash(path)
        content = pathlib.Path(path).read_bytes()
        self.name = str(path)
        self.weights = [np.frombuffer(content, np.uint8)]
        self._interpreter = _interpreter(content)
        self._lock = threading.Lock()
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise ValueError(
                "A LiteRT file must take one input to be evaluated. "
                f"{path} takes: {[part['name'] for part in inputs]}."
            )
        self._input, self._output = inputs[0], self._logits(path)
        self._shape: Any = None
        self.input_shape = (None, *inputs[0]["shape"][1:].tolist())

    def __call__(self, x: TensorLike, training: bool = False) -> tf.Tensor:
        logits = tf.numpy_function(self._run, [x], tf.float32)
        return tf.ensure_shape(logits, [None, self._output["shape"][-1]])

    def _run(self, x):
        if len(x) == 0:
            return np.zeros([0, self._output["shape"][-1]], np.float32)
        with self._lock:
            if self._shape != x.shape:
                self._interpreter.resize_tensor_input(
                    self._input["index"], x.shape
                )
                self._interpreter.allocate_tensors()
                self._shape = x.shape
            self._interpreter.set_tensor(
                self._input["index"], _quantized(x, self._input)
            )
            self._interpreter.invoke()
            found = self._interpreter.get_tensor(self._output["index"])
        return _dequantized(found, self._output)

    def _logits(self, path):
        """The details of the output that holds the logits."""
        outputs = self._interpreter.get_output_details()
        if len(outputs) == 1:
            return outputs[0]
        for key in self._interpreter.get_signature_list():
            runner = self._interpreter.get_signature_runner(key)
            if "logits" in runner.get_output_details():
                return runner.get_output_details()["logits"]
        raise ValueError(
            "A LiteRT file with several outputs must name one `logits`. "
            f"{path} has: {[part['name'] for part in outputs]}."
        )


def _interpreter(content):
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        # Until TensorFlow drops it, its own copy does the same.
        interpreter = getattr(tf, "lite", None)
    if interpreter is None:
        raise ImportError(
            "LiteRT files need its interpreter: pip install 'tfrobust[litert]'."
        )
    made = interpreter.Interpreter(model_content=content)
    made.allocate_tensors()
    return made


def _quantized(x, details):
    if details["dtype"] == np.float32:
        return x
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    levels = np.clip(np.round(x / scale) + zero, limits.min, limits.max)
    return levels.astype(details["dtype"])


def _dequantized(found, details):
    if details["dtype"] == np.float32:
        return found
    scale, zero = details["quantization"]
    return ((found.astype(np.float32) - zero) * scale).astype(np.float32)
