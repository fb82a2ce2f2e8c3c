"""Lines around a maximum, where windows overlap."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats, verifiers

pytestmark = pytest.mark.keras_free

KINDS = {
    "lines": lambda threat: verifiers.CROWN(threat, intersect=False),
    "crown": verifiers.CROWN,
    "alpha-crown": verifiers.AlphaCROWN,
}


@pytest.mark.parametrize("verifier", list(KINDS))
def test_who_leads_the_next_window_is_still_a_rival_in_this_one(verifier):
    # The second value leads the second window, and may exceed the first.
    x = np.array([0.5, 0.45, 0.1], np.float32).reshape(1, 1, 3, 1)

    def model(x, training=False):
        largest = tf.nn.max_pool2d(x, (1, 2), 1, "VALID")[:, 0, :, 0]
        return tf.concat([x[:, 0, :1, 0] + 0.1, largest[:, :1]], axis=1)

    margins = KINDS[verifier](threats.Linf(0.1)).margins(model, x, [0])
    # At 0.4 and 0.55 it is 0.1 + 0.4 - 0.55.
    assert -0.4 < margins[0, 1] <= -0.05
