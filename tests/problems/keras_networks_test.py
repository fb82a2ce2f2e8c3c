"""Networks of both Kerases are written, and decided from what was written."""

import numpy as np

from tfrobust import problems, threats
from tfrobust.backend import keras
from tfrobust.layers import SparseBinaryDense
from tfrobust.model import RobustModel
from tfrobust.verifiers import CROWN

layers = keras.layers


def network():
    """Layers of images, with statistics that aren't those of a new one."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Rescaling(2.0, -1.0),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, 2, padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            SparseBinaryDense(6, density=0.5),
            layers.LeakyReLU(),
            layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "seed" not in variable.name and variable.dtype == "float32":
            value = 0.5 * rng.normal(size=variable.shape)
            variable.assign(
                value**2 + 0.1 if "variance" in variable.name else value
            )
    return model


def test_a_network_is_written_and_its_problems_are_decided(tmp_path):
    model = network()
    x = np.random.default_rng(1).uniform(size=(2, 8, 8, 2)).astype(np.float32)
    y = np.argmax(model(x), axis=1)
    # Of the second label nothing is true.
    y[1] = (y[1] + 1) % 3
    linf = threats.Linf(1e-3)
    folder = tmp_path / "problems"
    written = problems.write(RobustModel(model), x, y, linf, folder)
    assert written.difference < 1e-6
    read = problems.Network(folder / "onnx/model.onnx")
    np.testing.assert_allclose(read(x), model(x), atol=1e-5)
    certified = CROWN(linf).decide(model, x, y).certified.numpy()
    np.testing.assert_array_equal(certified, [True, False])
    for k, result in enumerate(("unsat", "sat")):
        query = folder / "vnnlib" / "2.0" / f"{k}.vnnlib"
        asked = query, folder / "onnx/model.onnx"
        assert problems.verify(*asked, timeout=10).result == result
