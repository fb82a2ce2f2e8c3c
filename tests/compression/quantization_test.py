"""Fake quantisation: its ranges, its gradients, and how it is saved."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.compression.conftest import (
    PGD,
    X,
    Y,
    dense,
    fit,
    kernels,
    legacy_format,
    network,
    tf_keras_only,
)
from tfrobust import objectives
from tfrobust.backend import keras
from tfrobust.compression import calibrate, quantize, scope
from tfrobust.compression.calibration import input_range
from tfrobust.compression.tfmot import tfmot

pytestmark = tf_keras_only


def ends(model, name, kind=""):
    """Both ends of a range: of the layer whose name begins so."""
    layer = next(x for x in model.layers if x.name.startswith(name))
    return [
        np.asarray(weight)
        for end in ("min", "max")
        for weight in layer.weights
        if weight.name.endswith(f"{kind}_{end}:0")
    ]


def test_every_range_is_set_from_the_threat_the_batch_and_the_weights():
    source = network()
    model = quantize(source, X)
    found = ends(model, "quantize_layer")
    np.testing.assert_allclose(found, [0, 1], atol=2e-6)
    hidden = keras.Sequential(source.layers[:5])(X)
    found = ends(model, "quant_hidden", "post_activation")
    np.testing.assert_allclose(found, [0, np.max(hidden)], rtol=0.05)
    most = np.max(np.abs(source.get_layer("last").kernel))
    assert ends(model, "quant_last", "kernel") == [-most, most]
    logits = np.asarray(source(X))
    near = 0.02 * np.ptp(logits)
    found = ends(model, "quant_last", "post_activation")
    np.testing.assert_allclose(found, [logits.min(), logits.max()], atol=near)
    # TF-MOT begins at -6 and 6, and would move on by thousandths.
    for weight in model.weights:
        if weight.name.endswith(("_min:0", "_max:0")):
            assert not np.any(np.abs(weight) == 6), weight.name
    assert np.max(np.abs(model(X) - logits)) < near


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (0, 255), (-1, 1), (-0.4, 2.7), (-2.1, 2.6), (0.2, 0.9), (-3, -1)],
)
def test_gradients_pass_at_both_ends_of_the_input_range(low, high):
    lower, upper = input_range(low, high)
    x = tf.constant([low, (low + high) / 2, high], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.quantization.fake_quant_with_min_max_vars(x, lower, upper)
    step = (upper - lower) / 255
    np.testing.assert_allclose(y, x, atol=0.501 * step)
    np.testing.assert_array_equal(tape.gradient(y, x), [1, 1, 1])
    width = max(high, 0) - min(low, 0)
    assert upper - lower <= width * 255 / 254 * (1 + 2e-6)


def test_the_range_of_another_threat_is_used():
    model = quantize(dense(), 2 * X - 1, low=-1, high=1)
    found = ends(model, "quantize_layer")
    np.testing.assert_allclose(found, input_range(-1, 1), rtol=1e-6)


def test_calibration_leaves_every_other_weight_alone():
    model = tfmot().quantization.keras.quantize_model(network())
    kept = [
        w for w in model.weights if "_m" not in w.name or "moving" in w.name
    ]
    before = [np.asarray(weight) for weight in kept]
    assert calibrate(model, X) is model
    assert len(kept) == 5 + 4 + 7
    for weight, value in zip(kept, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_network_without_input_gradients_is_an_error():
    source = dense()
    # No unit of the hidden layer is ever positive.
    source.get_layer("hidden").bias.assign(np.full(32, -99.0))
    with pytest.raises(ValueError, match="32 of 32 without. Train the network"):
        quantize(source, X)


def test_before_calibration_gradients_are_zero_and_after_it_they_are_not():
    model = tfmot().quantization.keras.quantize_model(network())
    x = tf.constant(X)

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(model(x)[:, 0])
        return np.asarray(tape.gradient(loss, x)).reshape(len(X), -1)

    assert not gradient().any()
    calibrate(model, X)
    assert gradient().any(axis=1).all()


def test_it_is_trained_against_attacks():
    model = fit(quantize(network(), X), objectives.TRADES(PGD), 2)
    attack = tfr.attacks.PGD(PGD.threat, steps=2)
    assert np.all(
        np.any(attack.perturb(model.network, X, Y) != X, axis=(1, 2, 3))
    )


@legacy_format
def test_networks_are_saved_as_h5_and_as_a_saved_model(tmp_path):
    model = fit(quantize(network(), X)).network
    model.save(tmp_path / "network.h5")
    model.save(tmp_path / "folder", save_format="tf")
    for name in ("network.h5", "folder"):
        with scope():
            loaded = keras.models.load_model(tmp_path / name, compile=False)
        np.testing.assert_array_equal(loaded(X), model(X))


def test_weights_fit_the_same_network_quantised_again(tmp_path):
    model = fit(quantize(network(), X))
    model.save_weights(tmp_path / "model.weights.h5")
    again = tfr.RobustModel(quantize(network(), X))
    assert np.any(again(X) != model(X))
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(X), model(X))


def test_a_file_that_could_not_be_loaded_is_not_written(tmp_path):
    model = tfr.RobustModel(quantize(dense(), X))
    model.compile("adam")
    path = str(tmp_path / "model.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path)
    with pytest.raises(ValueError, match="cannot load .keras files of quant"):
        model.fit(X, Y, verbose=0, callbacks=[checkpoint])
    assert not list(tmp_path.iterdir())
    weights = str(tmp_path / "model.weights.h5")
    checkpoint = keras.callbacks.ModelCheckpoint(
        weights, save_weights_only=True
    )
    model.fit(X, Y, verbose=0, callbacks=[checkpoint])
    assert tmp_path.joinpath("model.weights.h5").exists()


@legacy_format
def test_one_bit_kernels_are_signs_times_a_scale_for_each_channel(tmp_path):
    source = network()
    model = quantize(source, X, one_bit=["conv", "last"])
    for name in ("conv", "last"):
        wrapper = model.get_layer(f"quant_{name}")
        kernel = np.asarray(source.get_layer(name).kernel)
        channels = tuple(range(kernel.ndim - 1))
        scale = np.mean(np.abs(kernel), axis=channels)
        # What the last call computed with.
        expected = np.where(kernel >= 0, scale, -scale)
        np.testing.assert_allclose(wrapper.layer.kernel, expected, rtol=1e-6)
    before = kernels(model)
    fit(model, objectives.WorstCase(PGD))
    pairs = zip(before, kernels(model), strict=True)
    assert all(np.any(old != new) for old, new in pairs)
    model.save(tmp_path / "network.h5")
    with scope():
        loaded = keras.models.load_model(tmp_path / "network.h5", compile=False)
    np.testing.assert_array_equal(loaded(X), model(X))


def test_the_gradient_passes_one_bit_quantizers():
    quantizer = tfr.compression.OneBitQuantizer()
    kernel = tf.constant([[1.0, -4.0], [-3.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        found = quantizer(kernel, training=True, weights={})
        loss = tf.reduce_sum(found * [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(found, [[2, -2], [-2, 2]])
    np.testing.assert_array_equal(tape.gradient(loss, kernel), [[1, 2], [3, 4]])


def test_depthwise_kernels_get_a_scale_for_each_of_their_channels():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    kernel = np.asarray(model.get_layer("depth").depthwise_kernel)
    model = quantize(model, X, one_bit=True)
    found = model.get_layer("quant_depth").layer.depthwise_kernel
    scale = np.mean(np.abs(kernel), axis=(0, 1))
    np.testing.assert_allclose(np.abs(found[0, 0]), scale, rtol=1e-6)


def awkward():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            layers.Rescaling(2.0, name="scale"),
            layers.Lambda(lambda x: x, name="code"),
            layers.Conv2D(4, 2, name="fine"),
            layers.PReLU(name="prelu"),
            layers.LayerNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(4, activation="elu", name="elu"),
            layers.Dense(3),
        ]
    )


def test_layers_that_cannot_be_quantised_are_all_listed():
    listed = (
        r"also: code \(Lambda\), scale \(Rescaling\), prelu \(PReLU\), norm "
        r"\(LayerNormalization\), elu \(Dense\)\. Replace"
    )
    with pytest.raises(NotImplementedError, match=listed):
        quantize(awkward(), X)


def test_models_inside_and_wrapped_layers_are_refused():
    nested = keras.Sequential([keras.Input((4, 4, 4)), network()])
    with pytest.raises(ValueError, match=r"also: small \(Sequential\)\. Put"):
        quantize(nested, X)
    pruned = tfr.compression.prune(dense(), m_by_n=(2, 4), layers=["hidden"])
    with pytest.raises(ValueError, match=r"also: pruned_hidden \(Pruned\)\."):
        quantize(pruned, X)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"calibration": 2 * X}, r"`x` must lie in the threat's valid range"),
        ({"calibration": X[:0]}, "at least one example"),
        ({"low": 1, "high": 0}, r"`low` must be below `high`"),
        ({"one_bit": ["relu", "lost"]}, "Received also: lost, relu"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        quantize(network(), **{"calibration": X, **arguments})


def test_only_a_quantised_network_is_calibrated():
    with pytest.raises(ValueError, match="'small', which has no quantised"):
        calibrate(network(), X)
