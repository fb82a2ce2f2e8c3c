"""The model of an example: one from disk, or one trained on the spot.

Usage:
    models.check("model", FLAGS.model)
    model = models.load_or_train(FLAGS.model, train, threat)
"""

from absl import app

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.commands import models


def check(flag, path):
    """Refuses the value of a flag that can't be a model.

    Args:
        flag: The flag's name.
        path: A .keras or .tflite file, a SavedModel's folder, or zoo:NAME; None
            passes.

    Raises:
        app.UsageError: If there is no model.
    """
    try:
        models.check(flag, path)
    except ValueError as error:
        raise app.UsageError(str(error)) from error


def load_or_train(path, train, threat):
    """What is at `path`, or, if that is None, a network trained on `train`.

    Args:
        path: A .keras or .tflite file, a SavedModel's folder, zoo:NAME or None.
        train: Pair of images, `[n, height, width, channels]`, and labels.
        threat: What the network is trained against.
    """
    return _trained(*train, threat) if path is None else load(path)


def load(path):
    """A Keras model, or the path of what is evaluated as it is."""
    return models.load("model", path)


def _trained(x, y, threat):
    """A small network, trained on interval bounds of growing radius."""
    keras.utils.set_random_seed(0)
    network = models.small_network(x.shape[1:], int(y.max()) + 1)
    steps = 12 * -(-len(x) // 64)
    ramp = tfr.schedules.Ramp(0.0, threat.epsilon, begin=0, end=steps // 2)
    bounds = tfr.verifiers.IBP(threat.replace(epsilon=ramp))
    model = tfr.RobustModel(network)
    model.compile("adam", objective=tfr.objectives.WorstCase(bounds, mix=0.5))
    model.fit(x, y, batch_size=64, epochs=12, verbose=2)
    return model
