"""Numbers for maps, of maps and models that can be done by hand."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import analysis
from tfrobust.analysis.randomization import rank_correlation
from tfrobust.backend import keras

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(5)
X = RNG.uniform(size=(6, 5, 4, 1)).astype(np.float32)
W = RNG.normal(size=(20, 3)).astype(np.float32)


def linear(x, training=False):
    return tf.reshape(x, [-1, 20]) @ W


def two(x, training=False):
    """Classes on either side of a plane through the origin."""
    lead = tf.linalg.matvec(tf.reshape(x, [-1, 20]), W[:, 0])
    return tf.stack([lead, -lead], axis=1)


def one_hot(shape, *place):
    found = np.zeros((1, *shape), np.float32)
    found[0][place] = -2.0
    return found


def test_the_alignment_of_a_linear_model_is_the_distance_to_the_boundary():
    # Some are on the other side.
    maps = analysis.saliency(two, X, np.zeros(6, int))
    value, cosine = analysis.alignment(X, maps)
    rows = X.reshape(6, -1)
    distance = np.abs(rows @ W[:, 0]) / np.linalg.norm(W[:, 0])
    assert np.any(rows @ W[:, 0] < 0)
    np.testing.assert_allclose(value, distance, rtol=1e-5)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(cosine, distance / lengths, rtol=1e-5)


def test_a_map_that_is_zero_is_aligned_with_nothing():
    assert np.all(np.isnan(analysis.alignment(X, 0 * X)))


def test_class_means_are_those_of_the_members():
    y = np.array([0, 0, 2, 2, 2, 0])
    means = analysis.class_means(X, y, classes=4)
    np.testing.assert_allclose(means[2], X[2:5].mean(axis=0), rtol=1e-6)
    assert means.shape == (4, 5, 4, 1) and np.all(np.isnan(means[[1, 3]]))


def test_maps_that_lead_from_one_mean_to_another_have_a_cosine_of_one():
    means = W.T.reshape(3, 5, 4, 1)
    y = np.array([0, 1, 2, 0, 1, 2])
    found = analysis.class_mean_cosine(linear, X, means, y)
    np.testing.assert_allclose(found, 1, rtol=1e-6)
    opposite = analysis.class_mean_cosine(linear, X, -means, y)
    np.testing.assert_allclose(opposite, -1, rtol=1e-6)
    maps = -2 * analysis.saliency(linear, X, y)
    given = analysis.class_mean_cosine(linear, X, means, y, maps)
    np.testing.assert_allclose(given, -1, rtol=1e-6)


def test_the_gini_index_goes_from_a_constant_map_to_one_feature():
    np.testing.assert_allclose(analysis.gini(0 * X + 3), 0, atol=1e-12)
    found = analysis.gini(one_hot((5, 4, 1), 2, 1, 0))
    np.testing.assert_allclose(found, 1 - 1 / 20)
    # Half of the differences of all pairs, over the mean.
    rows = np.abs(X.reshape(6, -1)).astype(np.float64)
    pairs = np.abs(rows[:, :, None] - rows[:, None]).mean(axis=(1, 2))
    np.testing.assert_allclose(analysis.gini(-X), pairs / rows.mean(1) / 2)


def test_mass_is_held_by_all_pixels_or_by_one():
    np.testing.assert_allclose(analysis.mass(0 * X + 3, 0.9), 0.9)
    np.testing.assert_allclose(analysis.mass(0 * X + 3, 0.91), 19 / 20)
    np.testing.assert_allclose(analysis.mass(one_hot((5, 4, 1), 2, 1, 0)), 0.05)
    assert np.all(np.isnan(analysis.mass(0 * X)))


@pytest.mark.parametrize("count", [10, 20, 25, 49])
def test_rounding_counts_no_pixel_too_many(count):
    maps = np.full((1, count), 0.1, np.float32)
    shares = np.arange(1, count + 1) / count
    found = [analysis.mass(maps, share)[0] for share in shares]
    np.testing.assert_allclose(found, shares, rtol=1e-12)


def test_mass_counts_pixels_and_not_channels():
    maps = np.zeros((1, 2, 2, 3), np.float32)
    maps[0, 0, 0] = [3, -3, 3]
    maps[0, 1, 1] = [0, 0, 1]
    np.testing.assert_allclose(analysis.mass(maps, 0.9), 1 / 4)
    np.testing.assert_allclose(analysis.mass(maps, 0.95), 2 / 4)


@pytest.mark.parametrize("dilation, inside", [(0, 1), (1, 9), (9, 25)])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_mass_on_an_object_grows_with_its_edge(dilation, inside, channels):
    x = np.zeros((1, 5, 5, *channels), np.float32)
    x[0, 2, 2] = 0.8
    found = analysis.object_mass(np.ones_like(x), x, 0.5, dilation)
    np.testing.assert_allclose(found, inside / 25)


def test_an_object_at_the_edge_is_not_continued_on_the_other_side():
    x = np.zeros((1, 5, 5), np.float32)
    x[0, 0, 0] = 1
    found = analysis.object_mass(np.ones_like(x), x)
    np.testing.assert_allclose(found, 4 / 25)


def test_the_variation_of_a_constant_is_none_and_of_a_pixel_four():
    variation = analysis.total_variation
    np.testing.assert_array_equal(variation(0 * X + 3), 0)
    np.testing.assert_allclose(variation(one_hot((5, 4, 1), 2, 1, 0)), 4)
    np.testing.assert_allclose(variation(one_hot((5, 4), 0, 0)), 2)
    np.testing.assert_allclose(variation(one_hot((5,), 2)), 2)
    channels = np.array([1.0, 5.0], np.float32) * np.ones((1, 3, 3, 1), "f")
    np.testing.assert_array_equal(variation(channels), 0)


def test_maps_of_a_linear_model_are_stable():
    found = analysis.stability(two, X, tfr.threats.L2(0.1), np.zeros(6, int))
    np.testing.assert_allclose(found.cosine, 1, rtol=1e-6)
    np.testing.assert_array_equal(found.overlap, 1)


def test_stability_compares_with_a_point_at_epsilon_or_of_an_attack():
    threat = tfr.threats.L2(0.2, low=-9.0, high=9.0)
    seen = []

    def read(model, x, y):
        seen.append(x)
        return x

    attack = tfr.attacks.FGSM(threat)
    for near in (threat, attack):
        found = analysis.stability(two, X, near, attribution=read)
        x, point = (np.reshape(part, (6, -1)) for part in seen[-2:])
        moved = np.linalg.norm(point - x, axis=1)
        np.testing.assert_allclose(moved, 0.2, rtol=1e-4)
        products = np.sum(x * point, axis=1)
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(point, axis=1)
        np.testing.assert_allclose(found.cosine, products / lengths, rtol=1e-5)
    y = np.argmax(two(X), axis=1)
    expected = attack.perturb(two, X, y)
    np.testing.assert_allclose(seen[-1], expected, atol=1e-6)


def test_the_overlap_is_that_of_the_largest_magnitudes():
    maps = iter(np.array([[[9, 0, -8, 1]], [[7, 0, 1, -8]]], np.float32))
    found = analysis.stability(
        lambda x, training=False: x,
        np.full((1, 4), 0.5, np.float32),
        tfr.threats.Linf(0.1),
        attribution=lambda *_: next(maps),
        top=0.5,
    )
    np.testing.assert_allclose(found.overlap, 1 / 2)


def pixel(x, training=False):
    """Reads the pixel at (1, 2), bright or not."""
    bright = 8.0 * x[:, 1, 2, 0]
    return tf.stack([bright, 0 * bright], axis=1)


def test_a_model_of_one_pixel_loses_its_class_with_that_pixel():
    x = np.full((2, 5, 4, 1), 0.75, np.float32)
    maps = np.repeat(one_hot((5, 4, 1), 1, 2, 0), 2, axis=0)
    found = analysis.deletion_insertion(
        pixel, x, maps, [0, 0], fill=0.0, steps=20
    )
    bright, dark = 1 / (1 + np.exp(-6)), 0.5
    np.testing.assert_allclose(found.fractions, np.arange(21) / 20)
    np.testing.assert_allclose(found.deleted[:, 0], bright, rtol=1e-6)
    np.testing.assert_allclose(found.deleted[:, 1:], dark, rtol=1e-6)
    deletion = (19 * dark + (bright + dark) / 2) / 20
    np.testing.assert_allclose(found.deletion, deletion, rtol=1e-6)
    insertion = (19 * bright + (bright + dark) / 2) / 20
    np.testing.assert_allclose(found.insertion, insertion, rtol=1e-6)


def test_what_a_map_misses_goes_last():
    x = np.full((1, 5, 4, 1), 0.75, np.float32)
    maps = np.ones_like(x)
    maps[0, 1, 2] = 0
    found = analysis.deletion_insertion(pixel, x, maps, fill=x * 0, steps=4)
    bright = 1 / (1 + np.exp(-6))
    np.testing.assert_allclose(found.deleted[0, :-1], bright, rtol=1e-6)
    np.testing.assert_allclose(found.deleted[0, -1], 0.5)
    np.testing.assert_allclose(found.inserted[0, :-1], 0.5)


def test_pixels_go_to_the_mean_with_all_their_channels():
    x = np.array([[[[0.2, 0.4]]], [[[0.6, 1.0]]]], np.float32)
    seen = analysis.deletion_insertion(
        lambda x, training=False: 4 * x[:, 0, 0], x, x, [0, 0], steps=1
    )
    mean = 1 / (1 + np.exp(4 * (0.7 - 0.4)))
    np.testing.assert_allclose(seen.deleted[:, -1], mean, rtol=1e-5)
    np.testing.assert_allclose(seen.inserted[:, 0], mean, rtol=1e-5)


def network():
    layer = keras.layers.Dense
    parts = [keras.Input((60,)), layer(30, "relu"), layer(3)]
    return keras.Sequential(parts)


IMAGES = RNG.uniform(-1, 1, size=(20, 60)).astype(np.float32)


@pytest.mark.builds_keras
def test_maps_of_the_input_alone_fail_the_sanity_check():
    model = network()
    read = dict(attribution=lambda model, x, y: x)
    found = analysis.randomization(model, IMAGES, **read)
    np.testing.assert_allclose(found.signed, 1)
    np.testing.assert_allclose(found.absolute, 1)


@pytest.mark.builds_keras
@pytest.mark.parametrize(
    "attribution",
    [
        analysis.saliency,
        lambda m, x, y: analysis.integrated_gradients(
            m, x, y, baseline=x - 1, steps=5
        ),
    ],
)
def test_maps_that_read_the_model_pass_it(attribution):
    model = tfr.RobustModel(network())
    before = model.get_weights()
    found = analysis.randomization(
        model, IMAGES, attribution=attribution, draws=3
    )
    assert abs(np.mean(found.signed)) < 0.1
    assert np.all(np.abs(found.signed) < 0.5)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.builds_keras
def test_weights_come_back_after_an_error():
    model = network()
    before, calls = model.get_weights(), []

    def breaks(model, x, y):
        calls.append(model.get_weights())
        if len(calls) == 2:
            raise RuntimeError("full")
        return x

    with pytest.raises(RuntimeError, match="full"):
        analysis.randomization(model, IMAGES, attribution=breaks)
    assert np.all(calls[1][0] != before[0])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_ranks_of_equal_values_are_shared():
    one = np.array([[1.0, 2.0, 2.0, 5.0], [1.0, 1.0, 1.0, 1.0]])
    other = np.array([[3.0, 4.0, 6.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    # Ranks 1, 2.5, 2.5, 4 and 1, 2.5, 4, 2.5.
    found = rank_correlation(one, other)
    np.testing.assert_allclose(found[0], 2.25 / 4.5)
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: analysis.alignment(X, X[:2]), ValueError, "same shape"),
        (lambda: analysis.gini(X * np.nan), ValueError, "`maps` must hold"),
        (lambda: analysis.mass(X, 0.0), ValueError, "`share`"),
        (lambda: analysis.mass(X, 1.5), ValueError, "`share`"),
        (
            lambda: analysis.object_mass(IMAGES, IMAGES),
            ValueError,
            "`x` must be images",
        ),
        (lambda: analysis.class_means(X, [0, 1]), ValueError, "`y` must be"),
        (
            lambda: analysis.class_means(X, [0, 1, 2, 0, 1, 2], 2),
            ValueError,
            "from 0 to 1",
        ),
        (
            lambda: analysis.class_mean_cosine(linear, X, X[:2]),
            ValueError,
            "`means`",
        ),
        (
            lambda: analysis.stability(two, X, 0.1),
            TypeError,
            "`near` must be a Threat",
        ),
        (
            lambda: analysis.stability(
                two, X, tfr.threats.L2(0.1), attribution=lambda *_: X[:1]
            ),
            ValueError,
            "`attribution` must give maps",
        ),
        (
            lambda: analysis.stability(two, X, tfr.threats.L2(1.0), [0, 1]),
            ValueError,
            "same length",
        ),
        (
            lambda: analysis.deletion_insertion(two, X, X, fill=np.ones(7)),
            ValueError,
            "`fill` must broadcast",
        ),
        (
            lambda: analysis.deletion_insertion(two, X, X, np.full(6, 2)),
            ValueError,
            "from 0 to 1",
        ),
        (lambda: analysis.randomization(two, X), TypeError, "`model` must"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
