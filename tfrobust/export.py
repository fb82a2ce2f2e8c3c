"""Exporting a model to TensorFlow Serving."""

import contextlib
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust import backend, files
from tfrobust.model import RobustModel


def export(model, base_path, version=None, input_name="image"):
    """Writes a SavedModel that needs neither tfrobust nor Keras to run.

    The signature `serving_default` takes `input_name`, shape `[batch, ...]`,
    float32, and gives `logits` and `probabilities`, shape `[batch, classes]`,
    and `class`, shape `[batch]`, int64. The folder is loaded again and its
    logits compared before it takes its place.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), or a
            Keras model of logits; built, and with one input.
        base_path: Folder of the model; TensorFlow Serving watches it.
        version: Number of the version folder; by default one more than the
            highest that is there.
        input_name: Name of the input, a Python identifier.

    Returns:
        Path of the version folder, `base_path/version`.

    Raises:
        FileExistsError: If that version exists.
        TypeError: If `model` isn't a model of the Keras in use.
        ValueError: If the model isn't built or ends in a softmax, an argument
            isn't as expected, or the copy differs.
    """
    weights = contextlib.nullcontext()
    if isinstance(model, RobustModel):
        model, weights = model.network, model.averaged()
    backend.check_network(model)
    if not input_name.isidentifier():
        raise ValueError(
            "`input_name` must be a Python identifier. "
            f"Received: input_name={input_name!r}"
        )
    spec = tf.TensorSpec(_input_shape(model), tf.float32, name=input_name)
    path = _version_folder(pathlib.Path(base_path), version)
    with weights, files.new_folder(path) as new:
        served = Served(model, spec)
        tf.saved_model.save(served, str(new), served.signatures())
        _compare(model, new, spec)
    return path


class Served(tf.Module):
    """A network with named inputs and outputs."""

    def __init__(self, network, spec):
        super().__init__()
        self._network, self._spec = network, spec

    def signatures(self):
        """The concrete functions to save, by signature."""

        def serve(x):
            logits = tf.cast(self._network(x, training=False), tf.float32)
            return {
                "logits": logits,
                "probabilities": tf.nn.softmax(logits),
                "class": tf.argmax(logits, axis=-1),
            }

        compiled = tf.function(serve, input_signature=[self._spec])
        concrete = compiled.get_concrete_function()
        # TensorFlow Serving restores only what is tracked, and Keras 3 hides
        # its variables; tf.saved_model.load finds them either way.
        self._served = list(concrete.variables)
        return {"serving_default": concrete}


def _version_folder(base_path, version):
    """The folder of `version`, or of the next one."""
    if version is None:
        names = [path.name for path in base_path.glob("*")]
        known = [int(name) for name in names if name.isdecimal()]
        version = max(known, default=0) + 1
    if not str(version).isdecimal():
        raise ValueError(
            "`version` must be a whole number, or TensorFlow Serving does not "
            f"see it. Received: version={version!r}"
        )
    return base_path / str(version)


def _input_shape(network):
    """The shape of a batch; a subclassed model knows what it was built with."""
    shape = None
    if network.built:
        shape = getattr(network, "input_shape", None)
        shape = shape or network.get_build_config()["input_shape"]
    if not shape or not all(n is None or isinstance(n, int) for n in shape):
        raise ValueError(
            "`model` must be built before export, with one input of a known "
            f"shape. Received: {network.name!r} with input shape {shape}. Call "
            "it once, or fit it."
        )
    return (None, *shape[1:])


def _compare(network, folder, spec):
    """Refuses a copy whose logits differ from the network's."""
    shape = [size or 32 for size in spec.shape[1:]]
    x = np.random.default_rng(0).random([4, *shape], np.float32)
    loaded = tf.saved_model.load(str(folder))
    copied = loaded.signatures["serving_default"](**{spec.name: tf.constant(x)})
    logits = network(x, training=False)
    gap = float(
        tf.reduce_max(tf.abs(copied["logits"] - tf.cast(logits, tf.float32)))
    )
    if not gap <= 1e-5 * max(1.0, float(tf.reduce_max(tf.abs(logits)))):
        raise ValueError(
            f"The exported model differs from the original by {gap:.3g} in its "
            "logits, so it was not kept. Does the network have random layers?"
        )
