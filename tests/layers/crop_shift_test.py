"""A window of the image, anywhere on zeros."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.layers import CropShift

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.1, 0.9, (300, 4, 5, 2)).astype("float32")


def ways(image, total):
    """Every result for a number of rows and columns cut off, in NumPy."""
    height, width = image.shape[:2]
    for cut in range(total + 1):
        high, wide = height - cut, width - (total - cut)
        spans = [range(cut + 1)] * 2 + [range(total - cut + 1)] * 2
        for top, to, left, there in itertools.product(*spans):
            result = np.zeros_like(image)
            window = image[top : top + high, left : left + wide]
            result[to : to + high, there : there + wide] = window
            yield result


def test_every_way_of_every_size_comes_up_and_no_other():
    image = X[0]
    batch = np.repeat(X[:1], 3000, axis=0)
    batch[:, 0, 0, 0] += np.linspace(0, 1e-4, 3000)  # Keys of their own.
    moved = CropShift(2)(batch, training=True).numpy()
    for total in range(3):
        known = np.array([*ways(image, total)])
        gap = np.abs(moved[:, np.newaxis] - known).max(axis=(2, 3, 4))
        found = gap < 2e-4
        assert np.all(np.any(found, axis=0))
        # A third of the images each, by 5 deviations.
        assert abs(np.sum(np.any(found, axis=1)) - 1000) < 130
    every = np.concatenate([[*ways(image, total)] for total in range(3)])
    gap = np.abs(moved[:, np.newaxis] - every).max(axis=(2, 3, 4))
    assert np.all(np.min(gap, axis=1) < 2e-4)


def test_inference_and_a_shift_of_nothing_leave_images_alone():
    np.testing.assert_array_equal(CropShift(3)(X), X)
    np.testing.assert_array_equal(CropShift(3)(X, training=False), X)
    np.testing.assert_array_equal(CropShift(0)(X, training=True), X)


def test_a_draw_depends_on_image_seed_and_call_alone():
    one, other = CropShift(3, seed=1), CropShift(3, seed=1)
    first = one(X, training=True)
    np.testing.assert_array_equal(other(X[50:90], training=True), first[50:90])
    second = one(X, training=True)
    assert np.any(second != first)
    compiled = tf.function(other, autograph=False)
    np.testing.assert_array_equal(compiled(X, training=True), second)
    assert np.any(CropShift(3, seed=2)(X, training=True) != first)


def test_it_works_in_a_dataset_and_keeps_types():
    layer, twin = CropShift(3), CropShift(3)
    pixels = (255 * X).astype("uint8")
    data = tf.data.Dataset.from_tensors(pixels)
    data = data.map(lambda x: layer(x, training=True))
    for _ in range(2):
        (moved,) = data
        expected = twin(tf.constant(pixels), training=True)
        assert moved.dtype == expected.dtype
        np.testing.assert_array_equal(moved, expected)


def test_a_copy_goes_on_where_the_weights_say(tmp_path):
    network = keras.Sequential([keras.Input((4, 5, 2)), CropShift(3, seed=4)])
    network(X, training=True)
    network.save(tmp_path / "network.keras")
    copy = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(
        copy(X, training=True), network(X, training=True)
    )


def test_arguments_and_inputs_are_checked():
    with pytest.raises(ValueError, match="`max_shift` must be at least 0"):
        CropShift(-1)
    with pytest.raises(TypeError, match="`seed` must be"):
        CropShift(1, seed="0")
    for x, most in [(X[0], 1), (X, 4)]:
        with pytest.raises(ValueError, match="higher and wider than"):
            CropShift(most)(x, training=True)
    assert tfr.layers.CropShift is CropShift
