"""What is remembered outlives the process, and stays out of the network."""

import os
import pathlib
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.instances import conftest
from tfrobust.backend import keras


def assert_same_memory(model, other):
    assert set(model.memory.slots) == {"visits", "labels", "inputs"}
    for name in model.memory.slots:
        np.testing.assert_array_equal(
            model.memory.values(name), other.memory.values(name)
        )


def trained(problem, storage="float32"):
    model = problem.model(memory=problem.memory(storage=storage))
    model.fit(problem.indexed, problem.y, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_a_saved_model_remembers(problem, tmp_path, storage):
    model = trained(problem, storage)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.memory.storage == storage
    assert_same_memory(loaded, model)
    for each in (loaded, model):
        each.fit(problem.indexed, problem.y, epochs=1, verbose=0)
    assert_same_memory(loaded, model)
    assert np.all(loaded.memory.values("visits") == 3)


def test_weights_files_remember(problem, tmp_path):
    model = trained(problem)
    model.save_weights(tmp_path / "model.weights.h5")
    other = trained(problem)
    other.memory.reset()
    assert not np.any(other.memory.values("labels"))
    np.testing.assert_array_equal(other.memory.values("inputs"), 0.5)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same_memory(other, model)


def test_a_model_without_memory_loads_the_weights_alone(problem, tmp_path):
    model = trained(problem)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = problem.model(objective=problem.clean)
    fresh.load_weights(tmp_path / "model.weights.h5")
    for old, new in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_memory_of_other_instances_is_refused(problem, tmp_path):
    model = trained(problem)
    model.save_weights(tmp_path / "model.weights.h5")
    other = problem.model(instances=12)
    other.fit(problem.indexed, problem.y, verbose=0)
    with pytest.raises(ValueError, match=r"'visits' of each .*\(12,\)"):
        other.load_weights(tmp_path / "model.weights.h5")


def test_the_network_ships_none_of_it(problem, tmp_path):
    model = trained(problem)
    assert model.count_params() == 15
    model.network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert [tuple(w.shape) for w in loaded.weights] == [(4, 3), (3,)]
    folder = tfr.export(model, tmp_path / "served")
    held = tf.train.list_variables(str(folder / "variables" / "variables"))
    sizes = [np.prod(shape) for name, shape in held if "VALUE" in name]
    assert sum(sizes) <= 15


def train(folder, killed):
    """Trains for three epochs of three steps, and writes what there is."""
    tf.config.experimental.enable_op_determinism()
    problem = conftest.Problem()
    model = problem.model(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))

    class Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 5:
                os.kill(os.getpid(), signal.SIGKILL)

    backup = keras.callbacks.BackupAndRestore(str(folder / "backup"))
    history = model.fit(
        problem.indexed,
        problem.y,
        batch_size=4,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[backup, Kill()] if killed else [backup],
    )
    names = model.memory.slots
    weights = {f"w{i}": value for i, value in enumerate(model.get_weights())}
    np.savez(
        folder / "end.npz",
        epochs=len(history.epoch),
        **weights,
        **{name: model.memory.values(name) for name in names},
    )


def test_a_killed_run_resumes_to_bitwise_the_same(nursery, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    log = tmp_path / "log.txt"
    both = nursery.start(log, __file__, whole, cut)
    assert nursery.wait(both) == -signal.SIGKILL, log.read_text()
    rest = nursery.start(log, __file__, cut)
    assert nursery.wait(rest) == 0, log.read_text()
    resumed, expected = (np.load(f / "end.npz") for f in (cut, whole))
    assert (resumed["epochs"], expected["epochs"]) == (2, 3)
    assert np.all(expected["visits"] == 3)
    for name in set(expected) - {"epochs"}:
        np.testing.assert_array_equal(resumed[name], expected[name])


if __name__ == "__main__":
    train(pathlib.Path(sys.argv[1]), killed=False)
    for folder in sys.argv[2:]:
        train(pathlib.Path(folder), killed=True)
