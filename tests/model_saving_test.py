"""A saved RobustModel goes on as if it had never been saved."""

import logging

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
LINF = tfr.threats.Linf(0.1)
# Three steps are no training.
pytestmark = pytest.mark.filterwarnings("ignore:The radius of:UserWarning")
RAMP = tfr.schedules.Ramp(0.0, 0.2, end=8)


@keras.saving.register_keras_serializable("model_saving_test")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = keras.layers.Dense(3)

    def build(self, input_shape):
        self.head.build(input_shape)
        self.built = True

    def call(self, inputs, training=False):
        return self.head(inputs)


def sequential():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def unbuilt():
    return keras.Sequential([keras.layers.Dense(3)])


def compiled(network, optimizer):
    model = tfr.RobustModel(network)
    attack = tfr.attacks.PGD(tfr.threats.Linf(RAMP), steps=2)
    model.compile(
        optimizer,
        loss=tfr.losses.CrossEntropy(label_smoothing=0.1),
        objective=tfr.objectives.TRADES(attack, beta=RAMP),
        adversaries={"fgsm": tfr.attacks.FGSM(LINF)},
        metrics=["accuracy", keras.metrics.SparseCategoricalAccuracy("top")],
        run_eagerly=True,
    )
    return model


def step(model):
    return model.train_on_batch(X, Y)


@pytest.mark.parametrize("network", [sequential, unbuilt, Subclassed])
def test_a_reloaded_model_is_the_one_that_was_saved(
    network, tmp_path, caplog, capfd
):
    model = compiled(network(), keras.optimizers.Adam(0.1))
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    model.evaluate(X, Y, verbose=0)
    capfd.readouterr()
    with caplog.at_level(logging.WARNING):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    printed = capfd.readouterr()
    assert not caplog.records and not printed.out and not printed.err
    assert loaded.get_compile_config() == model.get_compile_config()
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    loaded.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert int(loaded.optimizer.iterations) == 6
    assert_same(loaded.get_weights(), model.get_weights())
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_the_configuration_names_every_part(tmp_path):
    model = compiled(sequential(), "adam")
    config = model.get_compile_config()
    objective = config["objective"]["config"]
    assert config["objective"]["class_name"] == "TRADES"
    assert objective["beta"]["config"]["final"] == 0.2
    attack = objective["attack"]["config"]
    epsilon = attack["threat"]["config"]["epsilon"]
    assert epsilon["class_name"] == "Ramp"
    assert config["adversaries"]["fgsm"]["class_name"] == "FGSM"
    assert config["loss"]["config"]["label_smoothing"] == 0.1
    assert config["run_eagerly"] is True


def test_a_model_loads_without_being_compiled(tmp_path):
    model = compiled(sequential(), "adam")
    step(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    with pytest.raises(Exception, match="compile"):
        loaded.evaluate(X, Y)


def test_a_model_that_was_never_compiled_is_saved_too(tmp_path):
    model = tfr.RobustModel(sequential())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(loaded.get_weights(), model.get_weights())


def averaging():
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    return compiled(sequential(), optimizer)


def test_averaged_weights_are_evaluated_and_the_raw_ones_trained(tmp_path):
    model, twin = averaging(), averaging()
    twin.set_weights(model.get_weights())
    weights = [model.get_weights()]
    for _ in range(3):
        step(model)
        step(twin)
        weights.append(model.get_weights())
        model.evaluate(X, Y, verbose=0)
    # tf_keras averages from the initial weights on, Keras 3 from the first
    # step on.
    kernel, bias = weights[0] if backend.LEGACY else weights[1]
    for new_kernel, new_bias in weights[1:]:
        kernel, bias = (kernel + new_kernel) / 2, (bias + new_bias) / 2
    assert np.max(np.abs(kernel - weights[-1][0])) > 0.01
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, twin, loaded):
        logits = one.predict(X, verbose=0)
        np.testing.assert_allclose(logits, X @ kernel + bias, atol=1e-6)
        value = float(np.mean(tfr.losses.CrossEntropy(0.1)(Y, logits)))
        assert one.evaluate(X, Y, verbose=0)[0] == pytest.approx(value, 1e-5)
        step(one)
    assert_same(model.get_weights(), twin.get_weights())
    assert_same(loaded.get_weights(), twin.get_weights())


def test_averaged_weights_are_swapped_back_after_an_error():
    model = averaging()
    step(model)
    step(model)
    raw = model.get_weights()
    with pytest.raises(ValueError), model.averaged():
        assert np.any(model.get_weights()[0] != raw[0])
        raise ValueError
    assert_same(model.get_weights(), raw)


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("method", "name"),
    [("save", "model.keras"), ("save_weights", "model.weights.h5")],
)
def test_a_save_that_fails_keeps_the_file_that_was_there(
    tmp_path, monkeypatch, method, name
):
    model = compiled(sequential(), "adam")
    step(model)
    path = tmp_path / name
    getattr(model, method)(path)
    saved = path.read_bytes()

    def full_disk(self, filepath, *args, **kwargs):
        with open(filepath, "wb") as file:
            file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, method, full_disk)
    with pytest.raises(OSError, match="No space"):
        getattr(model, method)(path)
    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not backend.LEGACY, reason="Keras 3 has none")
def test_a_legacy_optimizer_trains_before_and_after_it_was_saved(tmp_path):
    model = compiled(sequential(), keras.optimizers.legacy.Adam(0.1))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before = loaded.get_weights()
    loaded.fit(X, Y, verbose=0)
    for new, old in zip(loaded.get_weights(), before, strict=True):
        assert not np.array_equal(new, old)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_file_that_keras_could_not_load_is_not_written(name, tmp_path):
    model = tfr.RobustModel(sequential())
    with pytest.raises(ValueError, match="must end in .keras.*network.save"):
        model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
