"""Several devices and workers train as one device does."""

import json
import os
import pathlib
import socket
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras


def train(strategy):
    """Trains on global batches of 8, 8 and 1; returns weights and logs."""
    random = np.random.default_rng(0)
    x = random.uniform(size=(17, 4)).astype("float32")
    y = random.integers(0, 3, 17)
    weights = random.uniform(size=17).astype("float32")
    keras.utils.set_random_seed(0)
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=1, best=False)
    with strategy.scope():
        decay = keras.regularizers.L2(0.1)
        network = keras.Sequential(
            [
                keras.layers.Dense(5, "relu", kernel_regularizer=decay),
                keras.layers.Dense(3),
            ]
        )
        model = tfr.RobustModel(network)
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True),
            objective=tfr.objectives.WorstCase(attack),
            adversaries={"fgsm": tfr.attacks.FGSM(tfr.threats.Linf(0.1))},
        )
    batches = tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(8)
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=2,
        verbose=0,
        shuffle=False,
        sample_weight=weights,
        validation_data=batches,
    ).history
    logs = {name: values[-1] for name, values in history.items()}
    return {f"weights{i}": w for i, w in enumerate(model.get_weights())} | logs


def evaluate(strategy):
    """Attacks batches of 4 and 1 images; returns the logs."""
    random = np.random.default_rng(0)
    x = random.uniform(size=(5, 6, 6, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                keras.layers.Conv2D(2, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )
        model = tfr.RobustModel(network)
        attack = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=1)
        model.compile("sgd", adversaries={"images": attack})
    y = random.integers(0, 3, 5)
    logs = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    return {f"evaluated_{name}": value for name, value in logs.items()}


def devices(folder):
    """Trains on one device and on two."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, 2 * [tf.config.LogicalDeviceConfiguration()]
    )
    one = tf.distribute.get_strategy()
    np.savez(folder / "one.npz", **train(one), **evaluate(one))
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert mirrored.num_replicas_in_sync == 2
    np.savez(folder / "two.npz", **train(mirrored), **evaluate(mirrored))


def worker(folder):
    """Trains as one of two workers."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    np.savez(folder / f"worker{index}.npz", **train(strategy))


def free_ports(count):
    with_ports = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in with_ports]
    for server in with_ports:
        server.close()
    return ports


@pytest.fixture(scope="module")
def runs(nursery, tmp_path_factory):
    """The folder of results; exit code and errors of every process."""
    folder = tmp_path_factory.mktemp("runs")

    def start(name, task, **environment):
        log = folder / f"{name}.txt"
        return nursery.start(log, __file__, folder, task, **environment)

    addresses = [f"localhost:{port}" for port in free_ports(2)]
    processes = {"devices": start("devices", "devices")}
    for index in range(2 if backend.LEGACY else 0):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": addresses}, "task": task}
        processes[f"worker{index}"] = start(
            f"worker{index}", "worker", TF_CONFIG=json.dumps(config)
        )
    codes = {name: nursery.wait(child) for name, child in processes.items()}
    return folder, {
        name: (code, (folder / f"{name}.txt").read_text())
        for name, code in codes.items()
    }


def assert_same(folder, name):
    one, other = np.load(folder / "one.npz"), np.load(folder / f"{name}.npz")
    assert set(other) <= set(one)
    assert set(other) >= {"loss", "weights0", "val_fgsm_accuracy"}
    assert ("evaluated_images_accuracy" in other) == (name == "two")
    for key in other:
        np.testing.assert_allclose(other[key], one[key], atol=1e-5, err_msg=key)


def test_two_devices_give_the_weights_and_logs_of_one(runs):
    folder, ends = runs
    code, errors = ends["devices"]
    assert code == 0, errors
    assert_same(folder, "two")


@pytest.mark.skipif(not backend.LEGACY, reason="refused, see the next test")
@pytest.mark.parametrize("index", [0, 1])
def test_two_workers_give_the_weights_and_logs_of_one(runs, index):
    folder, ends = runs
    code, errors = ends[f"worker{index}"]
    assert code == 0, errors
    assert_same(folder, f"worker{index}")


@pytest.mark.skipif(backend.LEGACY, reason="tf_keras supports workers")
def test_keras_3_refuses_several_workers_in_one_sentence():
    # A real strategy would wait here for the other worker to start.
    cluster = tf.train.ClusterSpec({"worker": ["localhost:1", "localhost:2"]})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster)
    workers = types.SimpleNamespace(cluster_resolver=resolver)
    with pytest.raises(NotImplementedError, match="TF_USE_LEGACY_KERAS=1"):
        backend.check_strategy(workers)


if __name__ == "__main__":
    {"devices": devices, "worker": worker}[sys.argv[2]](
        pathlib.Path(sys.argv[1])
    )
