"""Bounds of single values come in chunks, which change nothing."""

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import residual
from tfrobust import threats, verifiers
from tfrobust.verifiers import bounds


@pytest.mark.parametrize(
    "threat", [threats.Linf(0.1), threats.L2(0.5)], ids=str
)
def test_chunks_change_neither_bounds_nor_their_gradients(threat, monkeypatch):
    network = residual()
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 1, (4, *network.input_shape[1:])), "float32")
    y = np.array([0, 1, 2, 3])
    verifier = verifiers.CROWN(threat)

    def found():
        @tf.function(autograph=False)
        def margins():
            with tf.GradientTape() as tape:
                lower = verifier.margins(network, x, y)
                total = tf.reduce_sum(lower)
            return lower, tape.gradient(
                total, [v for v in network.trainable_variables]
            )

        return margins()

    expected, slopes = found()
    monkeypatch.setattr(bounds, "CHUNK", 1)
    values, gradients = found()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    for gradient, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-4)
