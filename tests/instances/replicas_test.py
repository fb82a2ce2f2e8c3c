"""Two replicas remember as one does."""

import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.instances import conftest
from tfrobust.backend import keras


def train(strategy):
    """Trains on global batches of 8 and 2; returns all that was learned."""
    problem = conftest.Problem()
    with strategy.scope():
        model = problem.model(optimizer=keras.optimizers.SGD(0.1))
    model.fit(
        problem.indexed,
        problem.y,
        batch_size=8,
        epochs=3,
        shuffle=False,
        verbose=0,
    )
    weights = {f"w{i}": value for i, value in enumerate(model.get_weights())}
    return weights | {n: model.memory.values(n) for n in model.memory.slots}


def main(folder):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, 2 * [tf.config.LogicalDeviceConfiguration()]
    )
    np.savez(folder / "one.npz", **train(tf.distribute.get_strategy()))
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert mirrored.num_replicas_in_sync == 2
    np.savez(folder / "two.npz", **train(mirrored))


def test_two_replicas_remember_what_one_does(nursery, tmp_path):
    log = tmp_path / "log.txt"
    assert nursery.wait(nursery.start(log, __file__, tmp_path)) == 0, (
        log.read_text()
    )
    one, two = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    np.testing.assert_array_equal(one["visits"], 3)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-6)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
