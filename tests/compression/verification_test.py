"""Bounds of networks that TF-MOT made: none escapes, nothing is unknown."""

import functools

import numpy as np
import pytest

import tfrobust as tfr
from tests.compression.conftest import (
    LINF,
    X,
    Y,
    fit,
    network,
    tf_keras_only,
)
from tfrobust.compression import prune, quantize, strip
from tfrobust.compression.tfmot import tfmot

pytestmark = tf_keras_only


@functools.cache
def pruned():
    model = prune(network(), m_by_n=(2, 4), layers=["conv", "hidden"])
    update = tfmot().sparsity.keras.UpdatePruningStep()
    return fit(model, callbacks=[update]).network


NETWORKS = {
    "pruned": pruned,
    "stripped": lambda: strip(pruned()),
    "quantised": lambda: quantize(network(), X),
    "one bit": lambda: quantize(network(), X, one_bit=True),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_no_margin_falls_below_its_bound(name):
    model = NETWORKS[name]()
    assert tfr.verifiers.coverage(model).complete
    x, y = X[:4], Y[:4]
    points = [x]
    for seed in range(5):
        points.append(LINF.sample(x, seed))
        away = LINF.sample(x, seed + 9) - x
        points.append(LINF.project(x, x + 50 * away))
    smallest = np.min([margins(model, point, y) for point in points], axis=0)
    for verifier in (tfr.verifiers.IBP(LINF), tfr.verifiers.CROWN(LINF)):
        bounds = verifier.margins(model, x, y)
        assert np.all(bounds <= smallest + 1e-6)
        # Nor are they so low that they say nothing.
        assert np.all(bounds >= smallest - 5 * np.ptp(smallest))


def margins(model, x, y):
    logits = np.asarray(model(x, training=False))
    return np.take_along_axis(logits, y[:, np.newaxis], 1) - logits
