"""A killed run resumes to the weights of a run that was never killed."""

import os
import pathlib
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from examples import datasets
from tfrobust.backend import keras


class Kill(keras.callbacks.Callback):
    """Ends the process in the middle of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder, killed):
    """Trains for three epochs of three steps, and writes the weights."""
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    random = np.random.default_rng(0)
    x = random.uniform(size=(20, 4)).astype("float32")
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    model = tfr.RobustModel(network)
    ramp = tfr.schedules.Ramp(0.0, 0.3, end=9)
    attack = tfr.attacks.PGD(tfr.threats.Linf(ramp), steps=2)
    model.compile(
        keras.optimizers.Adam(0.1), objective=tfr.objectives.WorstCase(attack)
    )
    batches = datasets.batches(
        x,
        random.integers(0, 3, 20),
        batch_size=8,
        seed=0,
        step=model.optimizer.iterations,
    )
    backup = keras.callbacks.BackupAndRestore(str(folder / "backup"))
    callbacks = [backup, Kill()] if killed else [backup]
    history = model.fit(batches, epochs=3, verbose=0, callbacks=callbacks)
    weights = dict(enumerate(model.get_weights()))
    np.savez(
        folder / "end.npz",
        epochs=len(history.epoch),
        **{f"weights{i}": value for i, value in weights.items()},
    )


@pytest.fixture(scope="module")
def ends(nursery, tmp_path_factory):
    """What the resumed run and the uninterrupted one wrote."""
    folder, whole = (tmp_path_factory.mktemp(n) for n in ("cut", "whole"))
    log = whole / "log.txt"
    both = nursery.start(log, __file__, whole, folder)
    assert nursery.wait(both) == -signal.SIGKILL, log.read_text()
    assert not (folder / "end.npz").exists()
    rest = nursery.start(log, __file__, folder)
    assert nursery.wait(rest) == 0, log.read_text()
    return np.load(folder / "end.npz"), np.load(whole / "end.npz")


def test_a_killed_run_resumes_to_bitwise_the_same_weights(ends):
    resumed, whole = ends
    # The second process started at the second epoch, not from scratch.
    assert (resumed["epochs"], whole["epochs"]) == (2, 3)
    for name in set(whole) - {"epochs"}:
        np.testing.assert_array_equal(resumed[name], whole[name])


if __name__ == "__main__":
    # One run in full, then, in the same process, one that is killed.
    train(pathlib.Path(sys.argv[1]), killed=False)
    for folder in sys.argv[2:]:
        train(pathlib.Path(folder), killed=True)
