"""Images made by what models read, and pictures of it."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import analysis
from tfrobust.backend import keras

RNG = np.random.default_rng(11)
X = RNG.uniform(0.3, 0.7, size=(6, 3, 2, 1)).astype(np.float32)
# Each class reads two pixels.
W = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)


def linear(x, training=False):
    return tf.reshape(x, [-1, 6]) @ W


def first(x, training=False):
    """Takes everything for class 2."""
    return tf.tile([[0.0, 0.0, 1.0]], [tf.shape(x)[0], 1])


def test_generated_images_reach_the_target_within_epsilon():
    target = np.array([0, 1, 2, 0, 1, 2])
    made = analysis.generate(linear, X, target, 1.0, steps=10, judge=first)
    assert made.images.shape == X.shape and made.images.dtype == np.float32
    assert made.images.min() >= 0 and made.images.max() <= 1
    moved = (made.images - X).reshape(6, -1)
    lengths = np.linalg.norm(moved, axis=1)
    np.testing.assert_array_less(lengths, 1.0 + 1e-5)
    found = np.argmax(linear(made.images), axis=1)
    np.testing.assert_array_equal(found, target)
    assert np.all(made.reached) and np.any(np.argmax(linear(X), 1) != target)
    near = analysis.generate(linear, X, target, 0.01, steps=1)
    found = np.argmax(linear(near.images), axis=1)
    np.testing.assert_array_equal(near.reached, found == target)
    assert not np.all(near.reached)
    np.testing.assert_array_equal(made.judged, target == 2)
    assert made.accuracy == 1 / 3


def test_towards_a_class_of_a_linear_model_there_is_one_best_way():
    def two(x, training=False):
        lead = tf.linalg.matvec(tf.reshape(x, [-1, 6]), W[:, 0])
        return tf.stack([lead, -lead], axis=1)

    made = analysis.generate(two, X, 1, 2.0, steps=5, low=-9.0, high=9.0)
    way = -2.0 * W[:, 0] / np.linalg.norm(W[:, 0])
    moved = (made.images - X).reshape(6, -1)
    np.testing.assert_allclose(moved, np.tile(way, (6, 1)), atol=1e-4)


def test_the_same_images_are_made_in_any_batches():
    target = np.array([0, 1, 2, 0, 1, 2])
    whole, parts = (
        analysis.generate(linear, X, target, 0.5, 4, batch_size=size)
        for size in (6, 4)
    )
    np.testing.assert_allclose(whole.images, parts.images, atol=1e-6)
    assert whole.judged is None
    with pytest.raises(ValueError, match="needs an independent network"):
        _ = whole.accuracy


def network(kernel):
    """A layer `features` of a given kernel, then classes."""
    dense = keras.layers.Dense
    features = dense(kernel.shape[1], name="features", use_bias=False)
    parts = [keras.Input((3, 2, 1)), keras.layers.Flatten(name="flat")]
    model = keras.Sequential([*parts, features, dense(3, name="logits")])
    features.set_weights([kernel])
    return model


def test_features_that_hold_everything_give_the_input_back():
    kernel = np.linalg.qr(RNG.normal(size=(6, 6)))[0].astype(np.float32)
    model = tfr.RobustModel(network(kernel))
    found = analysis.invert_features(model, "features", X, steps=150)
    np.testing.assert_array_less(found.distance, 0.03)
    np.testing.assert_array_less(0.1, found.start_distance)
    np.testing.assert_allclose(found.images, X, atol=0.05)
    error = np.mean((found.images - X) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(found.error, error, rtol=1e-4)


def test_what_features_do_not_hold_does_not_come_back():
    kernel = np.zeros((6, 2), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1
    model = network(kernel)
    found = analysis.invert_features(model, "features", X, steps=60)
    rows, given = (part.reshape(6, 6) for part in (found.images, X))
    np.testing.assert_allclose(rows[:, :2], given[:, :2], atol=0.05)
    # The rest is the noise that it began with.
    assert np.mean((rows - given)[:, 2:] ** 2) > 0.02
    relative = np.linalg.norm((rows - given)[:, :2], axis=1)
    relative /= np.linalg.norm(given[:, :2], axis=1)
    np.testing.assert_allclose(found.distance, relative, rtol=1e-3, atol=1e-6)


def test_more_steps_never_lead_away_and_the_seed_gives_the_noise():
    model = network(RNG.normal(size=(6, 4)).astype(np.float32))

    def inverted(steps, seed=0, rate=0.3):
        return analysis.invert_features(
            model, "features", X, steps, learning_rate=rate, seed=seed
        )

    one, more, other = inverted(1), inverted(2), inverted(1, seed=1)
    assert np.all(one.distance <= one.start_distance)
    assert np.all(more.distance <= one.distance)
    np.testing.assert_array_equal(one.start_distance, more.start_distance)
    assert np.all(one.start_distance != other.start_distance)
    small = inverted(1, rate=0.01)
    assert np.all(small.distance < small.start_distance)


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1), (3, 2, 3)])
def test_a_grid_is_written_of_images_of_any_kind(tmp_path, shape):
    images = RNG.uniform(size=(2, *shape))
    maps = {"plain": images - 0.5, "robust": 0 * images}
    analysis.grid(tmp_path / "maps.png", images, maps, titles=["3", "8"])
    found = (tmp_path / "maps.png").read_bytes()
    assert found.startswith(b"\x89PNG")


def test_a_grid_shows_image_map_and_overlay_of_each_row(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        analysis.grid.__globals__["pictures"],
        "save",
        lambda figure, path: saved.append(figure),
    )
    maps = X - 0.5
    analysis.grid("maps.png", X, maps, titles=list("abcdef"))
    panels = saved[0].axes
    assert len(panels) == 6 * 3
    assert [p.get_title() for p in panels[:3]] == ["image", "map", "overlay"]
    assert [p.get_ylabel() for p in panels[::3]] == list("abcdef")
    image, shown, overlay = panels[3:6]
    np.testing.assert_allclose(image.images[0].get_array(), X[1, ..., 0])
    np.testing.assert_allclose(shown.images[0].get_array(), maps[1, ..., 0])
    low, high = shown.images[0].get_clim()
    assert low == -high and 0 < high <= np.abs(maps[1]).max()
    np.testing.assert_allclose(overlay.images[0].get_array(), X[1, ..., 0])
    share = overlay.images[1].get_array()
    expected = np.clip(np.abs(maps[1, ..., 0]) / high, 0, 1)
    np.testing.assert_allclose(share, expected, rtol=1e-5)


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="tfrobust\\[examples\\]"):
        analysis.grid(tmp_path / "maps.png", X, X)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (
            lambda: analysis.generate(linear, X, 3, 1.0),
            ValueError,
            "from 0 to 2",
        ),
        (
            lambda: analysis.generate(linear, X, [0, 1], 1.0),
            ValueError,
            "same length",
        ),
        (
            lambda: analysis.generate(linear, X, 0, -1.0),
            ValueError,
            "`epsilon`",
        ),
        (
            lambda: analysis.generate(linear, X + 1, 0, 1.0),
            ValueError,
            "valid range",
        ),
        (
            lambda: analysis.invert_features(linear, "features", X),
            TypeError,
            "`model` must be a Model",
        ),
        (
            lambda: analysis.invert_features(network(W), "feature", X),
            ValueError,
            "one of flat, features, logits. Received: layer='feature'",
        ),
        (
            lambda: analysis.invert_features(network(W), "flat", X + 1),
            ValueError,
            "valid range",
        ),
        (
            lambda: analysis.invert_features(network(W), "flat", X, steps=0),
            ValueError,
            "`steps`",
        ),
        (
            lambda: analysis.grid("no.png", X[:, 0, 0], X[:, 0, 0]),
            ValueError,
            "`images` must have the shape",
        ),
        (
            lambda: analysis.grid("no.png", X, X[:2]),
            ValueError,
            "must have the same shape",
        ),
        (lambda: analysis.grid("no.png", X, {}), ValueError, "`maps` must"),
        (
            lambda: analysis.grid("no.png", X, X, titles=["one"]),
            ValueError,
            "`titles` must",
        ),
        (
            lambda: analysis.grid("no.png", X, X, low=1.0),
            ValueError,
            "`low` must be below",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
