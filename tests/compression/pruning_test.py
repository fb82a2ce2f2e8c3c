"""Pruning by TF-MOT: what is zero, when, and after a reload."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.compression.conftest import (
    LINF,
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
from tfrobust.compression import prune, scope, strip
from tfrobust.compression.tfmot import tfmot

pytestmark = tf_keras_only


def ramp(end=16):
    return tfmot().sparsity.keras.PolynomialDecay(0.0, 0.8, 0, end, frequency=1)


def constant(sparsity):
    return tfmot().sparsity.keras.ConstantSparsity(sparsity, 0, frequency=1)


def update():
    return [tfmot().sparsity.keras.UpdatePruningStep()]


def zeros(kernel):
    return np.sum(kernel == 0)


def scheduled(kernel, step):
    """How many zeros the cubic ramp of `ramp()` asks for, by its formula."""
    sparsity = 0.8 * (1 - (1 - min(step, 16) / 16) ** 3)
    return kernel.size - round(kernel.size * (1 - sparsity))


@pytest.mark.parametrize(
    "objective",
    [
        objectives.WorstCase(PGD, mix=0.5),
        objectives.TRADES(PGD),
        objectives.MART(PGD),
        objectives.AWP(objectives.TRADES(PGD)),
    ],
    ids=["WorstCase", "TRADES", "MART", "AWP"],
)
def test_the_schedule_counts_optimizer_steps(objective):
    model = fit(prune(dense(), ramp()), objective, 2, update())
    wrapper = model.network.get_layer("pruned_hidden")
    assert int(model.optimizer.iterations) == 8
    assert int(wrapper.pruning_step) == 8
    for kernel in kernels(strip(model)):
        assert zeros(kernel) == scheduled(kernel, 8) > 0


def test_several_steps_in_one_call_count_one_by_one():
    model = fit(
        prune(dense(), ramp()),
        objectives.TRADES(PGD),
        callbacks=update(),
        steps_per_execution=2,
    )
    kernel = kernels(strip(model))[0]
    assert zeros(kernel) == scheduled(kernel, 4)


def test_a_new_optimizer_counts_on():
    model = fit(prune(dense(), ramp()), callbacks=update())
    model = fit(model.network, callbacks=update())
    model.fit(X, Y, 8, verbose=0, callbacks=update())
    assert int(model.network.get_layer("pruned_last").pruning_step) == 12
    kernel = kernels(strip(model))[0]
    assert zeros(kernel) == scheduled(kernel, 12)


def test_training_without_the_callback_is_refused():
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="UpdatePruningStep callback"
    ):
        fit(prune(dense(), ramp()), objectives.TRADES(PGD))


def test_a_smaller_last_batch_counts_on():
    model = tfr.RobustModel(prune(dense(), ramp()))
    model.compile("adam", objective=objectives.TRADES(PGD))
    model.fit(X[:28], Y[:28], 8, 2, verbose=0, callbacks=update())
    assert int(model.network.get_layer("pruned_last").pruning_step) == 8


def test_plain_keras_trains_it_too():
    pruned = prune(dense(), ramp())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    pruned.compile("adam", loss)
    pruned.fit(X, Y, 8, verbose=0, callbacks=update())
    assert int(pruned.get_layer("pruned_last").pruning_step) == 4


def test_the_summaries_of_tf_mot_are_written(tmp_path):
    summaries = tfmot().sparsity.keras.PruningSummaries(str(tmp_path))
    fit(prune(dense(), ramp()), callbacks=[*update(), summaries])
    assert list((tmp_path / "metrics").iterdir())


def test_only_layers_with_kernels_are_wrapped_and_weights_are_copied():
    source = network()
    pruned = prune(source, constant(0.5))
    names = ["pruned_conv", "norm", "relu", "flat"]
    names += ["pruned_hidden", "pruned_last"]
    assert [layer.name for layer in pruned.layers] == names
    np.testing.assert_array_equal(pruned(X), source(X))
    named = prune(source, constant(0.5), layers=["hidden"])
    assert [x.name for x in named.layers if "pruned" in x.name] == [
        "pruned_hidden"
    ]


def test_stripping_masks_and_returns_stock_layers():
    model = tfr.RobustModel(prune(network(), constant(0.5)))
    model.compile("adam")
    callback = update()[0]
    callback.set_model(model)
    callback.on_train_begin()
    model.train_on_batch(X, Y)
    # The optimizer has moved masked weights since.
    assert zeros(model.network.get_layer("pruned_last").get_weights()[0]) < 24
    stock = strip(model)
    assert [type(x) for x in stock.layers] == [
        type(x) for x in network().layers
    ]
    assert [zeros(kernel) for kernel in kernels(stock)] == [144, 256, 24]
    np.testing.assert_array_equal(stock(X), model(X))


def test_blocks_are_pruned_whole():
    pruned = prune(dense(), constant(0.5), block_size=(2, 4), layers=["hidden"])
    model = fit(pruned, callbacks=update())
    kernel = kernels(strip(model))[0]
    blocks = kernel.reshape(2, 2, 8, 4).transpose(0, 2, 1, 3).reshape(16, 8)
    assert sorted(np.count_nonzero(blocks, axis=1)) == [0] * 8 + [8] * 8


def groups(model):
    """How many of four consecutive input channels are kept, everywhere."""
    found = set()
    for kernel in kernels(model):
        rows = np.moveaxis(kernel, -2, -1).reshape(-1, 4)
        found |= set(np.count_nonzero(rows, axis=1).tolist())
    return found


@pytest.mark.parametrize("trained", [False, True])
def test_two_of_four_survives_a_reload(trained, tmp_path):
    model = tfr.RobustModel(prune(network(), m_by_n=(2, 4)))
    model.compile("adam")
    if trained:
        model.fit(X, Y, 8, verbose=0, callbacks=update())
        assert groups(strip(model)) == {2}
    else:
        assert groups(strip(model)) == {4}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(X, Y, 8, verbose=0, callbacks=update())
    assert groups(strip(loaded)) == {2}
    steps = loaded.network.get_layer("pruned_conv").pruning_step
    assert int(steps) == (8 if trained else 4)


@legacy_format
@pytest.mark.parametrize("trained", [False, True])
def test_networks_are_saved_as_h5_and_as_a_saved_model(trained, tmp_path):
    options = {"block_size": (2, 4), "block_pooling": "MAX"}
    model = prune(dense(), ramp(), layers=["hidden"], **options)
    if trained:
        fit(model, callbacks=update())
    model.save(tmp_path / "network.h5")
    model.save(tmp_path / "folder", save_format="tf")
    for name in ("network.h5", "folder"):
        with scope():
            loaded = keras.models.load_model(tmp_path / name, compile=False)
        layer = loaded.get_layer("pruned_hidden")
        assert tuple(layer.block_size) == (2, 4)
        assert layer.block_pooling_type == "MAX"
        assert layer.pruning_schedule.get_config() == ramp().get_config()
        np.testing.assert_array_equal(loaded(X), model(X))


def test_models_inside_are_pruned_and_stripped():
    outer = keras.Sequential([keras.Input((4, 4, 4)), network()])
    model = fit(prune(outer, constant(0.5)), callbacks=update())
    stock = strip(model)
    assert [zeros(kernel) for kernel in kernels(stock)] == [144, 256, 24]
    np.testing.assert_array_equal(stock(X), model(X))


def test_a_robust_model_gives_its_averaged_network():
    model = tfr.RobustModel(dense())
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(X, Y)
    pruned = prune(model, constant(0.5))
    assert not isinstance(pruned, tfr.RobustModel)
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(pruned(X), expected, rtol=1e-5)


def awkward():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Rescaling(2.0, -1.0),
            layers.DepthwiseConv2D(2, name="depthwise"),
            layers.Conv2D(6, 2, name="conv"),
            layers.PReLU(name="prelu"),
            layers.Flatten(),
            layers.Dense(3, name="last"),
        ]
    )


def test_layers_that_cannot_be_pruned_are_all_listed():
    listed = r"also: depthwise \(DepthwiseConv2D\), prelu \(PReLU\)\. Name the"
    with pytest.raises(NotImplementedError, match=listed):
        prune(awkward(), constant(0.5))
    with pytest.raises(NotImplementedError, match=r"also: prelu \(PReLU\)\."):
        prune(awkward(), constant(0.5), layers=["prelu", "last"])
    prune(awkward(), constant(0.5), layers=["conv", "last"])


def test_mixed_precision_is_refused():
    policy = keras.layers.Dense(3, dtype="mixed_float16", name="half")
    model = keras.Sequential([keras.Input((4,)), policy])
    with pytest.raises(NotImplementedError, match=r"half \(Dense\)\. Build"):
        prune(model, constant(0.5))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Either `schedule` or `m_by_n`"),
        ({"schedule": 0.5, "m_by_n": (2, 4)}, "Either|must be a Pruning"),
        ({"m_by_n": (4, 2)}, "two whole numbers, the first the smaller"),
        ({"m_by_n": 2}, "two whole numbers"),
        ({"m_by_n": (2, 4), "block_size": (2, 2)}, "without blocks"),
        ({"schedule": 1, "block_size": 2}, "a height and a width"),
        ({"schedule": 1, "block_size": (0, 2)}, "a height and a width"),
        ({"schedule": 1, "block_pooling": "SUM"}, "must be 'AVG' or 'MAX'"),
        ({"schedule": 1, "layers": ["lost"]}, "Received also: lost"),
        (
            {"schedule": 1, "block_size": (2, 2), "layers": ["conv", "last"]},
            r"needs kernels of two axes. Received also: conv \(Conv2D\)\. Name",
        ),
        (
            {"m_by_n": (2, 4), "layers": ["conv", "last"]},
            r"a multiple of 4 input channels. Received also: conv \(Conv2D\)\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, sentence):
    if arguments.get("schedule") == 1:
        arguments = {**arguments, "schedule": constant(0.5)}
    with pytest.raises((TypeError, ValueError), match=sentence):
        prune(awkward(), **arguments)


@pytest.mark.parametrize("schedule", [0.5, tfr.schedules.Ramp])
def test_a_schedule_of_another_kind_is_refused(schedule):
    with pytest.raises(TypeError, match="must be a PruningSchedule of TF-MOT"):
        prune(dense(), schedule)


def test_nothing_to_strip_is_refused():
    with pytest.raises(ValueError, match="'small', which has nothing to strip"):
        strip(network())


def test_a_pruned_network_is_attacked_and_exported(tmp_path):
    model = fit(prune(network(), constant(0.5)), callbacks=update())
    x = PGD.perturb(model.network, X, Y)
    assert np.all(LINF.contains(tf.constant(X), x))
    assert tfr.export(model, tmp_path / "served").name == "1"


def test_kernels_that_would_be_left_are_named():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.SeparableConv2D(8, 2, name="separable"),
            keras.layers.Conv2D(3, 1, name="fine"),
        ]
    )
    for names in (None, ["separable"]):
        with pytest.raises(NotImplementedError, match=r"also: separable \(S"):
            prune(model, constant(0.5), layers=names)
    assert (
        prune(model, constant(0.5), layers=["fine"]).layers[0].name
        == "separable"
    )


def test_a_robust_model_is_loaded_where_nothing_was_pruned(
    tmp_path, monkeypatch
):
    model = fit(prune(network(), constant(0.5)), callbacks=update())
    model.save(tmp_path / "model.keras")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tfrobust>Pruned")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
