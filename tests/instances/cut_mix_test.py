"""Windows of other images, and labels to match."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.instances import Indexed, cut_mix

COUNT = 200
# Every pixel tells its image.
X = np.broadcast_to(
    np.arange(COUNT, dtype="float32")[:, None, None, None] / COUNT,
    (COUNT, 6, 8, 1),
)
Y = np.arange(COUNT) % 3
SOFT = np.eye(3, dtype="float32")[Y]


def batches(y=Y, size=COUNT):
    return tf.data.Dataset.from_tensor_slices((X, y)).batch(size)


def mixed(*args, **kwargs):
    ((x, y),) = cut_mix(*args, **kwargs)
    return x.numpy(), y.numpy()


def test_a_window_of_the_image_before_and_as_much_of_its_label():
    x, y = mixed(batches(), classes=3)
    before = np.roll(X, 1, axis=0)
    cut = x == before
    assert np.all(cut | (x == X))
    rows, columns = np.any(cut, axis=2)[..., 0], np.any(cut, axis=1)[..., 0]
    # The outer product of two intervals.
    window = rows[:, :, np.newaxis] & columns[:, np.newaxis]
    np.testing.assert_array_equal(cut[..., 0], window)
    for line in (rows, columns):
        edges = np.abs(np.diff(np.pad(line, ((0, 0), (1, 1))).astype(int)))
        assert np.all(np.sum(edges, axis=1) <= 2)
    area = np.mean(cut, axis=(1, 2))
    expected = (1 - area) * SOFT + area * np.roll(SOFT, 1, axis=0)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose(np.sum(y, axis=1), 1, rtol=1e-6)


def test_windows_are_as_large_as_the_paper_draws_them():
    area = np.mean(mixed(batches(), classes=3)[0] != X, axis=(1, 2, 3))
    # By a million draws of the paper's formula.
    draws = np.random.default_rng(0).uniform(size=(3, 10**6))
    sides = np.sqrt(1 - draws[0])
    sizes = [
        np.clip(np.floor(n * c) + np.floor(n * sides / 2), 0, n)
        - np.clip(np.floor(n * c) - np.floor(n * sides / 2), 0, n)
        for n, c in zip((6, 8), draws[1:], strict=True)
    ]
    expected = sizes[0] * sizes[1] / 48
    error = 4 * np.std(expected) / np.sqrt(COUNT)
    assert np.mean(area) == pytest.approx(np.mean(expected), abs=error)
    assert np.std(area) == pytest.approx(np.std(expected), rel=0.2)


def test_soft_labels_and_columns_are_taken():
    x, y = mixed(batches(), classes=3)
    for labels in (SOFT, Y[:, np.newaxis], Y.astype("uint8")):
        again = mixed(batches(labels), classes=3)
        np.testing.assert_array_equal(again[0], x)
        np.testing.assert_array_equal(again[1], y)


def test_a_mixture_depends_on_the_two_images_and_the_seed():
    x, y = mixed(batches(), classes=3)
    ((part, labels),) = cut_mix(
        batches().map(lambda x, y: (x[9:30], y[9:30])), 3
    )
    np.testing.assert_array_equal(part[1:], x[10:30])
    np.testing.assert_array_equal(labels[1:], y[10:30])
    assert np.any(mixed(batches(), classes=3, seed=1)[0] != x)
    assert len(cut_mix(batches(size=30), 3)) == 7


def test_a_robust_model_trains_on_soft_labels():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    step = tfr.attacks.FGSM(tfr.threats.Linf(0.1), loss=loss)
    network = keras.Sequential(
        [keras.Input((6, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    kernel = np.random.default_rng(0).normal(size=(48, 3)).astype("float32")
    network.set_weights([kernel, np.zeros(3)])
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(0.0), loss, tfr.objectives.WorstCase(step)
    )
    data = cut_mix(batches(), classes=3)
    logs = model.fit(data, verbose=0).history
    x, y = mixed(batches(), classes=3)

    def log_probabilities(x):
        logits = x.reshape(COUNT, 48) @ kernel
        logits -= np.max(logits, axis=1, keepdims=True)
        return logits - np.log(np.sum(np.exp(logits), 1, keepdims=True))

    slope = (np.exp(log_probabilities(x)) - y) @ kernel.T
    worst = np.clip(x + 0.1 * np.sign(slope).reshape(x.shape), 0, 1)
    expected = -np.mean(np.sum(y * log_probabilities(worst), axis=1))
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-4)
    hard = np.argmax(y, axis=1) == np.argmax(log_probabilities(x), axis=1)
    assert logs["accuracy"][0] == pytest.approx(np.mean(hard))


@pytest.mark.parametrize(
    "data",
    [
        batches().unbatch(),
        batches().map(lambda x, y: x),
        batches().map(lambda x, y: (x, y, y)),
        batches().map(lambda x, y: (Indexed(x, y), y)),
        batches(np.zeros((COUNT, 4))),
    ],
    ids=["single", "no labels", "weights", "indexed", "other classes"],
)
def test_what_cannot_be_mixed_is_refused(data):
    with pytest.raises(ValueError, match=r"must hold batches \(x, y\)"):
        cut_mix(data, classes=3)


def test_arguments_and_labels_are_checked():
    with pytest.raises(TypeError, match="`dataset` must be a"):
        cut_mix((X, Y), 3)
    for arguments in ({"classes": 1}, {"classes": 3, "seed": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            cut_mix(batches(), **arguments)
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 1"):
        mixed(batches(), classes=2)
