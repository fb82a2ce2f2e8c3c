"""Common corruptions: what each does to images, by its formula."""

import inspect
import math

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import corruptions
from tfrobust.corruptions.evaluate import CORRUPTIONS
from tfrobust.corruptions.images import filtered, gaussian, warped

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
DRAWN = (
    "gaussian_noise shot_noise impulse_noise speckle_noise motion_blur fog "
    "elastic"
).split()
# Smooth shapes with edges and colours, as photographs have them.
ROWS, COLUMNS = np.mgrid[0:24, 0:20] / 20
WAVES = [
    np.stack(
        [np.sin(k + 5 * ROWS * c) + np.cos(4 * COLUMNS + c) for c in (1, 2, 3)],
        -1,
    )
    for k in range(3)
]
X = np.clip(0.5 + 0.2 * np.stack(WAVES), 0.05, 0.95).astype(np.float32)
X[:, 6:15, 4:9] = [0.1, 0.6, 0.3]

every = pytest.mark.parametrize("name", list(CORRUPTIONS))


def made(name, severity, x=X, seed=0):
    return CORRUPTIONS[name](x, severity, seed).numpy()


@every
def test_images_stay_images_and_change_the_more_the_severer(name):
    changes = []
    for severity in range(1, 6):
        found = made(name, severity)
        assert found.shape == X.shape and found.dtype == np.float32
        assert found.min() >= 0 and found.max() <= 1
        changes.append(np.abs(found - X).mean())
    assert changes[0] > 1e-4
    assert np.all(np.diff(changes) > 0)


@every
def test_noise_follows_the_seed_and_the_image_but_no_batch_mate(name):
    found = made(name, 3)
    np.testing.assert_array_equal(made(name, 3), found)
    np.testing.assert_allclose(made(name, 3, X[1:2])[0], found[1], atol=1e-6)
    other = made(name, 3, seed=1)
    assert np.any(other != found) == (name in DRAWN)


@every
def test_grey_images_are_taken_and_other_inputs_refused(name):
    grey = X[..., :1]
    if name == "saturate":
        with pytest.raises(ValueError, match="images of 3 channels"):
            made(name, 1, grey)
    else:
        assert made(name, 1, grey).shape == grey.shape
        assert made(name, 5, grey[:, :4, :4]).shape == (3, 4, 4, 1)
    for severity in (0, 6, 2.5):
        with pytest.raises(ValueError, match="`severity` must"):
            made(name, severity)
    with pytest.raises(ValueError, match="images of shape"):
        made(name, 1, X[0])
    with pytest.raises(ValueError, match="valid range"):
        made(name, 1, 2 * X)


def test_brightness_adds_to_the_value_of_hsv():
    found = tf.image.rgb_to_hsv(made("brightness", 2)).numpy()
    clean = tf.image.rgb_to_hsv(X).numpy()
    expected = np.minimum(clean[..., 2] + 0.2, 1)
    np.testing.assert_allclose(found[..., 2], expected, atol=1e-6)
    np.testing.assert_allclose(found[..., :2], clean[..., :2], atol=1e-5)
    grey = np.array([[[[0.0], [0.3], [0.95]]]], np.float32)
    np.testing.assert_allclose(
        made("brightness", 1, grey)[0, 0, :, 0], [0.1, 0.4, 1.0], atol=1e-6
    )


def test_contrast_shrinks_towards_the_mean_of_each_channel():
    mean = X.mean(axis=(1, 2), keepdims=True)
    expected = mean + 0.3 * (X - mean)
    np.testing.assert_allclose(made("contrast", 4), expected, atol=1e-6)


def test_saturate_multiplies_the_saturation_of_hsv():
    found = tf.image.rgb_to_hsv(made("saturate", 2)).numpy()
    clean = tf.image.rgb_to_hsv(X).numpy()
    expected = np.minimum(2 * clean[..., 1], 1)
    np.testing.assert_allclose(found[..., 1], expected, atol=1e-5)
    np.testing.assert_allclose(found[..., 2], clean[..., 2], atol=1e-6)


GREY = np.full((4, 50, 50, 1), 0.5, np.float32)
GREY += np.arange(4).reshape(4, 1, 1, 1).astype(np.float32) / 100


@pytest.mark.parametrize(
    ("name", "severity", "deviation"),
    [
        ("gaussian_noise", 1, 0.04),
        ("speckle_noise", 1, 0.1 * 0.515),
        ("shot_noise", 2, math.sqrt(0.515 / 50)),
    ],
)
def test_noise_has_the_mean_and_the_deviation_of_its_law(
    name, severity, deviation
):
    noise = made(name, severity, GREY) - GREY
    assert abs(noise.mean()) < 0.05 * deviation
    assert noise.std() == pytest.approx(deviation, rel=0.03)


def test_shot_noise_counts_whole_photons_and_none_of_black():
    found = made("shot_noise", 5, GREY) * 6
    np.testing.assert_allclose(found, np.round(found), atol=1e-5)
    assert not made("shot_noise", 5, 0 * GREY).any()


def test_impulses_are_as_many_as_stated_half_each():
    found = made("impulse_noise", 4, GREY)
    np.testing.assert_allclose(np.mean(found == 0), 0.06, atol=0.01)
    np.testing.assert_allclose(np.mean(found == 1), 0.06, atol=0.01)
    kept = (found != 0) & (found != 1)
    np.testing.assert_array_equal(found[kept], GREY[kept])


@pytest.mark.parametrize(
    "name",
    "gaussian_blur defocus_blur motion_blur zoom_blur pixelate elastic".split(),
)
def test_what_is_uniform_stays_so_when_it_is_smeared(name):
    np.testing.assert_allclose(made(name, 5, GREY), GREY, atol=1e-5)


def test_a_filter_is_the_sum_over_mirrored_neighbours():
    kernel = gaussian(0.8)
    padded = np.pad(X, [(0, 0), (3, 3), (3, 3), (0, 0)], "symmetric")
    expected = np.zeros_like(X)
    for r in range(7):
        for c in range(7):
            part = padded[:, r : r + 24, c : c + 20]
            expected += kernel[r, c] / kernel.sum() * part
    np.testing.assert_allclose(filtered(X, kernel), expected, atol=1e-5)


def test_a_warp_reads_where_the_flow_says():
    whole = np.zeros((3, 24, 20, 2), np.float32)
    whole[..., 0], whole[..., 1] = 2, -3
    found = warped(tf.constant(X), tf.constant(whole)).numpy()
    np.testing.assert_allclose(found[:, :-2, 3:], X[:, 2:, :-3], atol=1e-6)
    np.testing.assert_allclose(found[:, -1, 3:], X[:, -1, :-3], atol=1e-6)
    half = np.full((3, 24, 20, 2), [0.5, 0.0], np.float32)
    found = warped(tf.constant(X), tf.constant(half)).numpy()
    between = (X[:, 1:] + X[:, :-1]) / 2
    np.testing.assert_allclose(found[:, :-1], between, atol=1e-6)


def test_pixels_of_half_the_side_are_means_of_four():
    found = made("pixelate", 3)
    means = X.reshape(3, 12, 2, 10, 2, 3).mean(axis=(2, 4))
    expected = means.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_fog_spans_what_its_formula_says():
    assert not made("fog", 3, 0 * GREY).any()
    found = made("fog", 3, GREY)
    # Of a uniform image m: from m * m / (m + c) to m, where c is 0.6.
    m = GREY[:, 0, 0, 0]
    np.testing.assert_allclose(found.max(axis=(1, 2, 3)), m, atol=1e-5)
    least = m * m / (m + 0.6)
    np.testing.assert_allclose(found.min(axis=(1, 2, 3)), least, atol=1e-5)
    assert np.std(found) > 0.02


def test_all_have_the_same_arguments():
    for name, function in CORRUPTIONS.items():
        assert [*inspect.signature(function).parameters] == [
            "x",
            "severity",
            "seed",
        ]
        assert getattr(corruptions, name) is function
