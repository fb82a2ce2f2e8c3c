"""Callbacks that read or reset what is remembered of instances."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.instances.conftest import Problem
from tfrobust.backend import keras
from tfrobust.callbacks import InstanceHistory, ResetMemory
from tfrobust.instances import group_means, replayed
from tfrobust.objectives import Clean, Recorded


def fit(callbacks, model=None, **options):
    problem = Problem()
    model = model or problem.model(objective=Recorded(Clean()))
    options = {"epochs": 3, **options}
    model.fit(
        problem.indexed,
        problem.y,
        batch_size=10,
        verbose=0,
        callbacks=callbacks,
        **options,
    )
    return model


def test_the_memory_is_reset_every_so_many_epochs():
    model = fit([ResetMemory(2)])
    np.testing.assert_array_equal(model.memory.values("visits"), 1)
    np.testing.assert_array_equal(model.memory.values("recorded"), 1)


def test_every_epoch_is_kept(tmp_path):
    kept = InstanceHistory(tmp_path / "kept.npz")
    model = fit([kept])
    losses = kept.history["recorded_loss"]
    assert losses.shape == (3, 10)
    np.testing.assert_array_equal(
        losses[-1], model.memory.values("recorded_loss")
    )
    np.testing.assert_allclose(
        np.sum(losses, axis=0), model.memory.values("loss_sum"), rtol=1e-5
    )
    with np.load(tmp_path / "kept.npz") as held:
        np.testing.assert_array_equal(held["recorded_loss"], losses)


def test_a_run_that_goes_on_goes_on_in_the_file(tmp_path):
    path = tmp_path / "kept.npz"
    model = fit([InstanceHistory(path)], epochs=2)
    more = InstanceHistory(path)
    fit([more], model, epochs=4, initial_epoch=2)
    assert more.history["recorded_loss"].shape == (4, 10)
    whole = InstanceHistory()
    fit([whole], epochs=4)
    np.testing.assert_allclose(
        more.history["recorded_loss"], whole.history["recorded_loss"]
    )


def test_another_run_is_not_overwritten(tmp_path):
    path = tmp_path / "kept.npz"
    fit([InstanceHistory(path)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="must be a new file for a new run"):
        fit([InstanceHistory(path)])
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="must hold the 5 epochs before"):
        fit([InstanceHistory(path)], epochs=6, initial_epoch=5)


@pytest.mark.parametrize("layer", ["features", -2])
def test_norms_of_features_are_kept(layer):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "relu", name="features"),
            layers.Dense(3),
        ]
    )
    model = tfr.RobustModel(network)
    model.compile("sgd", objective=Recorded(Clean()))
    kept = InstanceHistory(layer=layer, x=Problem.x)
    fit([kept], model)
    kernel, bias = network.layers[0].get_weights()
    features = np.maximum(Problem.x @ kernel + bias, 0)
    expected = np.linalg.norm(features, axis=1)
    np.testing.assert_allclose(
        kept.history["feature_norm"][-1], expected, rtol=1e-5
    )


def test_group_means_are_those_of_the_instances():
    values = np.arange(20.0).reshape(2, 10)
    difficulty = (np.arange(10) + 0.5) / 10
    found = group_means(values, difficulty, count=5)
    np.testing.assert_allclose(found, values.reshape(2, 5, 2).mean(axis=2))
    empty = group_means(values, np.full(10, 0.5), count=2)
    np.testing.assert_allclose(empty[:, 1], values.mean(axis=1))
    assert np.all(np.isnan(empty[:, 0]))
    with pytest.raises(ValueError, match="shape \\[epochs, instances\\]"):
        group_means(values, difficulty[:5])


def test_batches_are_replayed_in_a_row():
    data = tf.data.Dataset.range(5).batch(2)
    found = [batch[0].numpy().tolist() for batch in replayed(data, 3)]
    assert found == [[0, 1]] * 3 + [[2, 3]] * 3 + [[4]] * 3
    assert replayed(data, 3).cardinality() == 9
    problem = Problem()
    model = problem.model(
        objective=tfr.objectives.Free(tfr.threats.Linf(0.1)), instances=10
    )
    data = tf.data.Dataset.from_tensor_slices((problem.indexed, problem.y))
    model.fit(replayed(data.batch(5), 4), verbose=0)
    np.testing.assert_array_equal(model.memory.values("visits"), 4)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ResetMemory(0), ValueError, "`every` must be at least 1"),
        (lambda: InstanceHistory(layer="a"), ValueError, "come with `x`"),
        (lambda: replayed([1], 2), TypeError, "must be a Dataset"),
        (
            lambda: replayed(tf.data.Dataset.range(2), 0),
            ValueError,
            "`times` must be at least 1",
        ),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()
