"""Exporting a model to TensorFlow Serving."""

import contextlib
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.backend import keras
from tfrobust.model import RobustModel


def export(model, base_path, version=None, input_name="image"):
    """Writes a SavedModel that needs neither tfrobust nor Keras to run.

    The signature `serving_default` takes `input_name`, shape `[batch, ...]`,
    float32, and gives `logits` and `probabilities`, shape `[batch, classes]`,
    and `class`, shape `[batch]`, int64. The folder is loaded again and its
    logits compared before it takes its place.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), or a
            built Keras model of logits.
        base_path: Folder of the model; TensorFlow Serving watches it.
        version: Number of the version folder; by default one more than the
            highest that is there.
        input_name: Name of the input.

    Returns:
        Path of the version folder, `base_path/version`.

    Raises:
        FileExistsError: If that version exists.
        ValueError: If the model isn't built, or its copy differs.
    """
    weights = contextlib.nullcontext()
    if isinstance(model, RobustModel):
        model, weights = model.network, model.averaged()
    if not model.built:
        raise ValueError(
            "`model` must be built before export, so that its input shape is "
            f"known. Received: {model.name!r}, not built. Call it once, or fit it."
        )
    base_path = pathlib.Path(base_path)
    path = base_path / str(version or _next_version(base_path))
    with weights, files.new_folder(path) as new:
        served = Served(model, input_name)
        tf.saved_model.save(served, str(new), served.signatures())
        _compare(model, new, served.spec)
    return path


class Served(tf.Module):
    """A network with named inputs and outputs."""

    def __init__(self, network, input_name):
        super().__init__()
        self._network = network
        shape = _input_shape(network)
        self.spec = tf.TensorSpec(shape, tf.float32, name=input_name)

    def signatures(self):
        """The concrete functions to save, by signature."""

        def serve(x):
            logits = tf.cast(self._network(x, training=False), tf.float32)
            return {
                "logits": logits,
                "probabilities": tf.nn.softmax(logits),
                "class": tf.argmax(logits, axis=-1),
            }

        concrete = tf.function(serve, input_signature=[self.spec])
        return {"serving_default": concrete.get_concrete_function()}


def _next_version(base_path):
    known = [int(p.name) for p in base_path.glob("*") if p.name.isdigit()]
    return max(known, default=0) + 1


def _input_shape(network):
    return (None, *network.input_shape[1:])


def _compare(network, folder, spec):
    """Refuses a copy whose logits differ from the network's."""
    x = np.random.default_rng(0).random([4, *spec.shape[1:]], np.float32)
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
