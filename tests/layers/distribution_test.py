"""Two devices train the scores that one device trains."""

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.layers import SparseBinaryDense


def train(strategy):
    """Trains on global batches of 8, 8 and 1; returns the weights."""
    random = np.random.default_rng(0)
    x = random.uniform(size=(17, 4)).astype("float32")
    # Not linf: where weights cancel, rounding alone gives a gradient its sign.
    attack = tfr.attacks.PGD(tfr.threats.L2(0.1), steps=1, best=False)
    with strategy.scope():
        network = keras.Sequential(
            [
                keras.Input((4,)),
                SparseBinaryDense(8, density=0.5, seed=0),
                SparseBinaryDense(3, density=0.5, seed=1),
            ]
        )
        model = tfr.RobustModel(network)
        model.compile(
            keras.optimizers.SGD(0.1),
            objective=tfr.objectives.WorstCase(attack),
        )
    labels = random.integers(0, 3, 17)
    model.fit(x, labels, batch_size=8, epochs=2, verbose=0, shuffle=False)
    return model.get_weights()


def devices():
    """Compares one device with two, in a process that may split its CPU."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, 2 * [tf.config.LogicalDeviceConfiguration()]
    )
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    pairs = zip(
        train(tf.distribute.get_strategy()), train(mirrored), strict=True
    )
    for one, two in pairs:
        np.testing.assert_allclose(two, one, atol=1e-6)


def test_two_devices_train_the_scores_of_one(nursery, tmp_path):
    log = tmp_path / "log.txt"
    code = nursery.wait(nursery.start(log, __file__))
    assert code == 0, log.read_text()


if __name__ == "__main__":
    devices()
