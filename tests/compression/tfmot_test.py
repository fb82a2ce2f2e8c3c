"""Where TF-MOT can't run, and what it can't take: one sentence each."""

import importlib
import sys

import numpy as np
import pytest

import tfrobust as tfr
from tests.compression.conftest import X, Y, network, tf_keras_only
from tfrobust import compression
from tfrobust.backend import NAME, keras
from tfrobust.compression import cluster, prune, quantize, strip, to_keras
from tfrobust.compression.tfmot import tfmot

CHANGES = {
    "prune": lambda model: prune(model, m_by_n=(2, 4)),
    "cluster": lambda model: cluster(model, 4),
    "quantize": lambda model: quantize(model, X),
    "calibrate": lambda model: compression.calibrate(model, X),
    "strip": strip,
}
each_change = pytest.mark.parametrize("change", list(CHANGES))
keras_3_only = pytest.mark.skipif(NAME != "keras", reason="about Keras 3")


@keras_3_only
@each_change
def test_keras_3_is_told_what_to_do(change):
    with pytest.raises(NotImplementedError, match="compression.to_tf_keras"):
        CHANGES[change](network())


@keras_3_only
@pytest.mark.parametrize("name", ["OneBitConfig", "OneBitQuantizer"])
def test_keras_3_is_told_so_by_the_classes_too(name):
    with pytest.raises(NotImplementedError, match="tf_keras models only"):
        getattr(compression, name)


@keras_3_only
def test_tf_mot_is_not_imported_unasked():
    assert "tensorflow_model_optimization" not in sys.modules


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        compression.quantise  # noqa: B018


@tf_keras_only
def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(ImportError, match=r'pip install "tfrobust\[tfmot\]"'):
        prune(network(), m_by_n=(2, 4))


@tf_keras_only
@each_change
def test_a_model_of_keras_3_is_told_how_to_convert(change):
    other = importlib.import_module("keras")
    model = other.Sequential([other.Input((4,)), other.layers.Dense(3)])
    with pytest.raises(TypeError, match="compression.to_tf_keras first"):
        CHANGES[change](model)


class Subclassed(keras.Model):
    def call(self, inputs, training=False):
        return inputs


@tf_keras_only
@each_change
def test_models_without_a_graph_are_refused(change):
    for model in (Subclassed(), keras.Sequential([keras.layers.Dense(3)])):
        with pytest.raises(ValueError, match="built and has one output"):
            CHANGES[change](model)
    with pytest.raises(TypeError, match="must be a Keras model"):
        CHANGES[change]("network.keras")


@tf_keras_only
def test_a_robust_model_gives_a_network():
    model = tfr.RobustModel(network())
    for change in ("prune", "cluster", "quantize"):
        changed = CHANGES[change](model)
        assert not isinstance(changed, tfr.RobustModel)
    quantized = tfr.RobustModel(changed)
    assert compression.calibrate(quantized, X) is changed


@tf_keras_only
def test_calibration_outlives_averaged_weights():
    model = tfr.RobustModel(quantize(network(), X))
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    model.compile(optimizer, run_eagerly=True)
    model.train_on_batch(X, Y)
    compression.calibrate(model, X, low=-1)
    first = next(w for w in model.weights if w.name.endswith("_min:0"))
    assert float(first) < -0.9


@tf_keras_only
def test_the_whole_way_from_keras_3_and_back():
    other = importlib.import_module("keras")
    source = other.Sequential(
        [other.Input((4, 4, 4)), other.layers.Flatten(), other.layers.Dense(3)]
    )
    pruned = prune(compression.to_tf_keras(source), m_by_n=(2, 4))
    stripped = to_keras(strip(pruned))
    np.testing.assert_allclose(stripped(X), source(X), rtol=1e-5, atol=1e-6)


@tf_keras_only
def test_the_package_is_what_pip_installs():
    assert tfmot().__name__ == "tensorflow_model_optimization"
