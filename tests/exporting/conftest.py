"""A sparse network, and its SavedModel with a certificate."""

import shutil

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.compression import packing

THREAT = tfr.threats.Linf(0.004)


def built(seed=0, density=0.05):
    """Small, but with one kernel large enough to be worth packing."""
    keras.utils.set_random_seed(seed)
    dense = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(48, activation="relu", name="large"),
            keras.layers.Dense(3),
        ]
    )
    return tfr.compression.subnetwork(dense, density=density)


@pytest.fixture(scope="session")
def sparse_network():
    """The function that builds it."""
    return built


@pytest.fixture(scope="session")
def data():
    """Inputs, and the labels that the sparse network gives them."""
    x = np.random.default_rng(1).random((20, 6, 6, 1), np.float32)
    return x, np.argmax(built()(x, training=False), axis=1)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory, data):
    """The network and the folder of its SavedModel, which nobody changes."""
    network = built()
    folder = tfr.export(
        network,
        tmp_path_factory.mktemp("exported") / "digits",
        certify=tfr.verifiers.IBP(THREAT),
        data=data,
    )
    return network, folder


@pytest.fixture
def corrupted(shipped, tmp_path):
    """The same SavedModel, but one bit of a packed kernel flipped."""
    network, folder = shipped
    copy = tmp_path / "corrupted"
    shutil.copytree(folder, copy)
    path = copy / "saved_model.pb"
    content = bytearray(path.read_bytes())
    kernel = tfr.compression.plain(network).get_layer("large").get_weights()[0]
    positions = packing.pack(kernel).arrays["positions"].tobytes()
    assert content.count(positions) == 1
    content[content.index(positions) + len(positions) // 2] ^= 1
    path.write_bytes(content)
    return copy
