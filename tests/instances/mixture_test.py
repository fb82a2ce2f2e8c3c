"""Original and extra data in one batch."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.instances import Indexed, mixture


def numbered(first, count):
    """Inputs that tell who they are, and labels that tell it too."""
    y = np.arange(first, first + count)
    return np.stack([y, -y], axis=1).astype("float32"), y


ORIGINAL, EXTRA = numbered(0, 20), numbered(100, 50)


def labels(data):
    """The labels of each batch, once inputs are found to go with them."""
    found = []
    for x, y in data:
        np.testing.assert_array_equal(x, np.stack([y, -y], axis=1))
        found.append(y.numpy())
    return np.array(found)


def as_dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


@pytest.mark.parametrize("kind", [tuple, as_dataset])
@pytest.mark.parametrize("other", [tuple, as_dataset])
def test_an_epoch_is_one_pass_in_fixed_shares(kind, other):
    data = mixture(kind(ORIGINAL), other(EXTRA), 0.6, batch_size=10)
    found = labels(data)
    assert found.shape == (5, 10) and len(data) == 5
    assert data.element_spec[0].shape == (10, 2)
    np.testing.assert_array_equal(np.sum(found >= 100, axis=1), 6)
    originals = found[found < 100]
    np.testing.assert_array_equal(np.sort(originals), np.arange(20))
    extras = found[found >= 100]
    assert len(np.unique(extras)) == 30
    if kind is tuple:
        assert np.any(np.diff(originals) < 0)


def test_an_epoch_may_be_a_pass_over_the_extra_data():
    data = mixture(ORIGINAL, EXTRA, 0.5, batch_size=10, epoch="extra")
    found = labels(data)
    assert found.shape == (10, 10) and len(data) == 10
    extras = found[found >= 100]
    np.testing.assert_array_equal(np.sort(extras), np.arange(100, 150))
    # The original data is passed twice and a half, each time anew.
    originals = found[found < 100]
    passes = originals[:20], originals[20:40]
    for some in passes:
        np.testing.assert_array_equal(np.sort(some), np.arange(20))
    assert np.any(passes[0] != passes[1])


def test_both_kinds_are_spread_over_the_batch():
    found = labels(mixture(ORIGINAL, EXTRA, 0.5, batch_size=8))
    np.testing.assert_array_equal(found >= 100, np.tile([False, True], (5, 4)))
    found = labels(mixture(ORIGINAL, EXTRA, 0.7, batch_size=10))
    for part in (found[:, :5], found[:, 5:]):
        assert set(np.sum(part >= 100, axis=1)) <= {3, 4}


def test_orders_change_by_epoch_and_are_those_of_the_seed():
    data = mixture(ORIGINAL, EXTRA, 0.5, batch_size=8, seed=3)
    first, second = labels(data), labels(data)
    assert np.any(first != second)
    again = mixture(ORIGINAL, EXTRA, 0.5, batch_size=8, seed=3)
    np.testing.assert_array_equal(labels(again), first)
    np.testing.assert_array_equal(labels(again), second)
    other = mixture(ORIGINAL, EXTRA, 0.5, batch_size=8, seed=4)
    assert np.any(labels(other) != first)


def test_the_order_may_follow_from_the_step():
    step = tf.Variable(0, dtype=tf.int64)
    data = mixture(ORIGINAL, EXTRA, 0.5, batch_size=8, step=step)
    first = labels(data)
    np.testing.assert_array_equal(labels(data), first)
    step.assign(5)
    second = labels(data)
    assert np.any(first != second)
    # A new process that goes on at this step.
    gone_on = mixture(ORIGINAL, EXTRA, 0.5, batch_size=8, step=step)
    np.testing.assert_array_equal(labels(gone_on), second)


def fitted(epochs, weights=None, step=0):
    """A model after some epochs, gone on from weights and step."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(network)
    model.compile(keras.optimizers.SGD(0.1))
    if weights is not None:
        model.set_weights(weights)
        model.optimizer.iterations.assign(step)
    x, y = np.random.default_rng(0).uniform(size=(20, 2)), np.arange(20) % 3
    x = x.astype("float32")
    data = mixture(
        (x, y), (1 - x, y), batch_size=10, step=model.optimizer.iterations
    )
    model.fit(data, epochs=epochs, verbose=0)
    return model


def test_a_run_that_goes_on_ends_with_the_same_weights():
    whole, half = fitted(4), fitted(2)
    steps = int(half.optimizer.iterations)
    assert steps == 12
    rest = fitted(2, half.get_weights(), steps)
    for one, two in zip(whole.get_weights(), rest.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_instances_keep_their_index():
    indexed = [(Indexed(x, y), y) for x, y in (ORIGINAL, EXTRA)]
    for inputs, y in mixture(*indexed, batch_size=10):
        assert isinstance(inputs, Indexed)
        np.testing.assert_array_equal(inputs.index, y)
        np.testing.assert_array_equal(inputs.x[:, 0], y)


X, Y = ORIGINAL


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fraction": 1.5}, ValueError, r"`fraction` must lie in \[0"),
        ({"fraction": np.nan}, ValueError, r"`fraction` must lie in \[0"),
        ({"fraction": 0.01}, ValueError, "examples of both kinds"),
        ({"fraction": 1.0}, ValueError, "examples of both kinds"),
        ({"batch_size": 1}, ValueError, "`batch_size` must be at least 2"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
        ({"epoch": "both"}, ValueError, "`epoch` must be 'original' or"),
        ({"batch_size": 200}, ValueError, "`original` must fill its part"),
        ({"batch_size": 64}, ValueError, "`original` must .* 19 ex"),
        ({"original": X}, TypeError, "`original` must be a tuple of arrays"),
        ({"extra": (X,)}, TypeError, "`extra` must be a tuple of arrays"),
        ({"extra": (X, Y[:9])}, ValueError, "arrays of one length"),
        ({"extra": (X, 3)}, ValueError, "arrays of one length"),
        ({"extra": (X, Y.astype("int32"))}, ValueError, "int64 .* int32"),
        ({"extra": (X[:, :1], Y)}, ValueError, "the same shapes and types"),
        ({"extra": (X, Y, Y)}, ValueError, "the same shapes and types"),
        ({"extra": (Indexed(X, Y), Y)}, ValueError, "the same shapes and"),
        (
            {"extra": as_dataset((X, Y)).take(0)},
            ValueError,
            "`extra` must fill its part",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(change, error, message):
    given = {"original": ORIGINAL, "extra": EXTRA, "batch_size": 10} | change
    if change == {"batch_size": 64}:
        given["original"] = X[:18], Y[:18]
    with pytest.raises(error, match=message):
        mixture(**given)
