"""An objective that remembers what a test can work out by hand."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras, register
from tfrobust.instances import Indexed, Slot
from tfrobust.objectives import Objective, Outcome


@register
class Tally(Objective):
    """Adds up labels and inputs of each instance; the loss is the clean one."""

    reports = ("seen",)

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def _slots(self, shape, classes):
        return {"labels": Slot(), "inputs": Slot(shape, 0.5, unit=True)}

    def outcome(self, model, x, y, found):
        logits = model(x, training=True)
        labels = self.rows["labels"] + tf.cast(tf.reshape(y, [-1]), tf.float32)
        rows = {"labels": labels, "inputs": self.scale * x}
        values = tf.reduce_sum(tf.square(logits), axis=-1)
        seen = self.rows["visits"]
        return Outcome(values, logits, rows=rows, reported={"seen": seen})


class Problem:
    """Ten instances, and models to fit to them."""

    tally, memory, clean = Tally, tfr.instances.Memory, tfr.objectives.Clean()
    x = np.random.default_rng(0).uniform(size=(10, 4)).astype("float32")
    y = np.arange(10) % 3
    index = np.random.default_rng(1).permutation(10)

    @property
    def indexed(self):
        return Indexed(self.x, self.index)

    def model(self, objective=None, memory=None, optimizer="sgd", **compiled):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model = tfr.RobustModel(network, memory=memory)
        objective = objective or Tally()
        model.compile(optimizer, objective=objective, **compiled)
        return model

    def in_order(self, values):
        """Values of the instances, as the memory holds them."""
        return values[np.argsort(self.index)]


@pytest.fixture(scope="session")
def problem():
    return Problem()
