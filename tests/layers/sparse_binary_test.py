"""Scores, signs and masks: numbers by hand, and masks that never go stale."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import hoisting
from tfrobust.backend import keras
from tfrobust.layers import (
    SparseBinaryConv2D,
    SparseBinaryDense,
    SparseBinaryDepthwiseConv2D,
    sparse_binary,
)

RNG = np.random.default_rng(1)
X = RNG.uniform(size=(24, 6)).astype(np.float32)
Y = RNG.integers(0, 4, 24)
SIGNS = np.array([[1, -1], [-1, -1], [1, 1]], np.float32)
SCORES = np.array([[0.3, -0.9], [-0.1, 0.2], [0.5, -0.05]], np.float32)


def by_hand():
    layer = SparseBinaryDense(2, density=0.5)
    layer.build((None, 3))
    layer.signs.assign(SIGNS)
    layer.scores.assign(SCORES)
    return layer


def expected_kernel(layer):
    """signs * topk(|scores|), by sorting."""
    signs, scores = np.asarray(layer.signs), np.asarray(layer.scores)
    removed = int((1 - layer.density) * scores.size)
    order = np.argsort(np.abs(scores).ravel())
    kernel = signs.copy().ravel()
    kernel[order[:removed]] = 0
    return kernel.reshape(signs.shape)


def test_the_kernel_is_the_signs_of_the_largest_scores():
    kernel = np.array([[1, -1], [0, 0], [1, 0]])
    np.testing.assert_array_equal(by_hand().kernel, kernel)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_every_score_has_a_gradient_kept_or_not(wrap):
    layer, x = by_hand(), np.array([[1.0, 2.0, 4.0]], np.float32)

    @wrap
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * [1.0, 3.0])
        return tape.gradient(loss, layer.trainable_variables)

    slope = x.T * [1.0, 3.0]
    assert len(layer.trainable_variables) == 1
    np.testing.assert_allclose(gradient()[0], np.sign(SCORES) * SIGNS * slope)


def test_a_gradient_reaches_the_scores_under_fixed_weights_too():
    # AWP takes one inside its search.
    layer, x = by_hand(), np.ones((1, 3), np.float32)
    with hoisting.fixed_weights():
        layer(x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        (gradient,) = tape.gradient(loss, layer.trainable_variables)
    np.testing.assert_allclose(gradient, np.sign(SCORES) * SIGNS)


def test_what_the_scale_of_the_signs_is_does_not_matter_before_normalisation():
    gradients = []
    for scale in (1.0, 0.05):
        layer = by_hand()
        layer.signs.assign(scale * SIGNS)
        norm = keras.layers.BatchNormalization(
            center=False, scale=False, epsilon=1e-9
        )
        with tf.GradientTape() as tape:
            outputs = norm(layer(X[:, :3]), training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients.append(tape.gradient(loss, layer.trainable_variables)[0])
    assert np.max(np.abs(gradients[0])) > 0.1
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("initializer", "values"),
    [("binary", {-1, 1}), ("signed_constant", {-0.25, 0.25})],
)
def test_the_fixed_weights_are_as_named(initializer, values):
    layer = SparseBinaryDense(500, density=0.5, initializer=initializer, seed=3)
    layer.build((None, 64))  # sqrt(2 / (64 * 0.5)) is 0.25.
    signs = np.asarray(layer.signs)
    assert set(np.unique(signs)) == values
    assert np.mean(signs > 0) == pytest.approx(0.5, abs=0.01)


def test_uniform_weights_and_scores_spread_evenly():
    layer = SparseBinaryDense(
        500, initializer="uniform", score_scale=0.2, seed=3
    )
    layer.build((None, 64))
    signs, scores = np.asarray(layer.signs), np.asarray(layer.scores)
    for draws, bound in ((signs, 1.0), (scores, 0.2)):
        quartiles = np.quantile(draws, [0, 0.25, 0.5, 0.75, 1]) / bound
        np.testing.assert_allclose(quartiles, [-1, -0.5, 0, 0.5, 1], atol=0.02)
    assert abs(np.corrcoef(signs.ravel(), scores.ravel())[0, 1]) < 0.02


def test_the_fan_in_counts_what_one_output_sums():
    for layer, fan_in in (
        (SparseBinaryConv2D(2, (3, 5)), 3 * 5 * 4),
        (SparseBinaryDepthwiseConv2D((3, 5)), 3 * 5),
    ):
        layer.initializer, layer.density = "signed_constant", 0.5
        layer.build((None, 8, 8, 4))
        scale = np.abs(np.asarray(layer.signs))
        np.testing.assert_allclose(scale, np.sqrt(2 / (fan_in * 0.5)), 1e-6)


def test_a_seed_gives_the_same_numbers_in_both_kerases():
    layer = SparseBinaryDense(4, seed=7)
    layer.build((None, 3))
    seeded = [w.copy() for w in layer.get_weights()]
    twin = SparseBinaryDense.from_config(layer.get_config())
    twin.build((None, 3))
    for one, other in zip(seeded, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    keras.utils.set_random_seed(1)
    first, second = SparseBinaryDense(4).seed, SparseBinaryDense(4).seed
    keras.utils.set_random_seed(1)
    assert first != second and SparseBinaryDense(4).seed == first


def compiled(objective=None, optimizer=None):
    network = keras.Sequential(
        [
            keras.Input((6,)),
            SparseBinaryDense(16, density=0.4, activation="relu"),
            SparseBinaryDense(4, density=0.5),
        ]
    )
    model = tfr.RobustModel(network)
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=2)
    model.compile(
        optimizer or keras.optimizers.SGD(0.05),
        objective=objective or tfr.objectives.WorstCase(attack),
        adversaries={"pgd": attack},
    )
    return model


def assert_fresh(network):
    logits, kernels = X, [expected_kernel(layer) for layer in network.layers]
    for layer, kernel in zip(network.layers, kernels, strict=True):
        np.testing.assert_array_equal(layer.kernel, kernel)
        logits = logits @ kernel
        logits = np.maximum(logits, 0) if layer.units == 16 else logits
    np.testing.assert_allclose(network(X), logits, atol=1e-5)
    np.testing.assert_allclose(network.predict(X, verbose=0), logits, atol=1e-5)


PGD = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=2)


@pytest.mark.parametrize(
    "objective",
    [
        tfr.objectives.WorstCase(PGD),
        tfr.objectives.TRADES(PGD),
        tfr.objectives.AWP(tfr.objectives.WorstCase(PGD), gamma=0.5),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_masks_are_never_stale(objective, tmp_path):
    model = compiled(objective)
    first = expected_kernel(model.network.layers[0])
    for _ in range(3):
        model.fit(X, Y, batch_size=8, verbose=0, validation_data=(X, Y))
        assert_fresh(model.network)
    assert np.any(first != model.network.layers[0].kernel)
    points = PGD.perturb(model.network, X, Y)
    model.network.layers[0].scores.assign(RNG.normal(size=(6, 16)))
    assert_fresh(model.network)
    assert np.any(points != PGD.perturb(model.network, X, Y))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_fresh(loaded.network)
    np.testing.assert_array_equal(loaded.network(X), model.network(X))


def test_averaged_scores_are_evaluated_with_their_own_mask():
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.9)
    model = compiled(optimizer=optimizer)
    # At its end, `fit` would replace the scores by the averaged ones.
    for _ in range(4):
        model.train_on_batch(X, Y)
    raw = model.network.predict(X, verbose=0)
    with model.averaged():
        assert_fresh(model.network)
        averaged = model.network.predict(X, verbose=0)
    assert np.any(raw != averaged)
    np.testing.assert_array_equal(model.predict(X, verbose=0), averaged)
    assert_fresh(model.network)


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_step_finds_as_many_masks_however_long_its_attack(
    monkeypatch, eagerly
):
    calls = []

    def counted(scores, kept):
        mask = tf.py_function(
            lambda s: calls.append(1) or select(s, kept), [scores], tf.float32
        )
        return tf.ensure_shape(mask, scores.shape)

    select = sparse_binary.top_k_mask
    monkeypatch.setattr(sparse_binary, "top_k_mask", counted)
    counts = []
    for steps in (1, 6):
        attack = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=steps)
        model = compiled()
        model.compile(
            "sgd",
            objective=tfr.objectives.WorstCase(attack),
            run_eagerly=eagerly,
        )
        model.train_on_batch(X, Y)
        calls.clear()
        model.train_on_batch(X, Y)
        counts.append(len(calls))
    # Two layers: in the search, in training mode and for the clean accuracy.
    assert counts == [6, 6]


def test_a_regularizer_decays_the_scores():
    layer = SparseBinaryDense(
        2, density=0.5, score_regularizer=keras.regularizers.L2(0.25)
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.scores.assign(SCORES)
    assert float(model.losses[0]) == pytest.approx(0.25 * np.sum(SCORES**2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"density": 0.0}, r"`density` must lie in \(0, 1\]. Received"),
        ({"density": 1.1}, r"`density` must lie in \(0, 1\]. Received"),
        ({"score_scale": 0.0}, "`score_scale` must be positive"),
        ({"initializer": "he"}, "`initializer` must be one of"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SparseBinaryDense(3, **options)
