"""A small network, data for it, and when TF-MOT can run."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import NAME, keras

tf_keras_only = pytest.mark.skipif(
    NAME != "tf_keras",
    reason="TF-MOT works on tf_keras models: set TF_USE_LEGACY_KERAS=1",
)
legacy_format = pytest.mark.filterwarnings(
    "ignore:You are saving your model as an HDF5 file:UserWarning"
)
RNG = np.random.default_rng(0)
X, Y = RNG.random((32, 4, 4, 4), np.float32), np.arange(32) % 3
LINF = tfr.threats.Linf(0.05)
PGD = tfr.attacks.PGD(LINF, steps=1)


def network():
    """A convolution with normalisation, and two Dense layers."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4, 4), name="image"),
            layers.Conv2D(8, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Flatten(name="flat"),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(3, name="last"),
        ],
        name="small",
    )


def dense():
    """Two Dense layers of 128 and 48 weights."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="last"),
        ]
    )


def fit(model, objective=None, epochs=1, callbacks=(), **kwargs):
    """Trains in batches of 8, so four steps an epoch."""
    model = tfr.RobustModel(model)
    model.compile("adam", objective=objective, **kwargs)
    model.fit(X, Y, 8, epochs, verbose=0, callbacks=list(callbacks))
    return model


def kernels(model):
    return [w for w in model.get_weights() if w.ndim > 1]
