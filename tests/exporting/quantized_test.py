"""Networks that TF-MOT quantised, as LiteRT files."""

import numpy as np
import pytest

import tfrobust as tfr
from tests.compression.conftest import X, network, tf_keras_only
from tfrobust.compression import quantize
from tfrobust.evaluation.litert import LiteRT

pytestmark = tf_keras_only


@pytest.mark.parametrize("format", ["int8_sparse", "int8", "float16"])
def test_a_quantised_network_is_exported_in_every_format(tmp_path, format):
    model = quantize(network(), X)
    path = tfr.export_litert(model, tmp_path / "net.tflite", format, X)
    logits = np.asarray(model(X, training=False))
    gap = np.max(np.abs(LiteRT(path)(X) - logits))
    # Two of the steps of 8 bits.
    assert gap <= 2 / 255 * np.ptp(logits)
