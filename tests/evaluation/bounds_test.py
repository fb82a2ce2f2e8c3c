import numpy as np
import pytest

import tfrobust as tfr

pytestmark = pytest.mark.keras_free


def test_the_bounds_of_a_linear_model_are_exact(model, data):
    x, _ = data
    lower, upper = tfr.bounds(model, x, 0.01)
    margin = 4 * (x.mean(axis=(1, 2)) - 0.5)
    np.testing.assert_allclose(lower[:, 1], margin - 0.04, atol=1e-4)
    np.testing.assert_allclose(upper[:, 1], margin + 0.04, atol=1e-4)
    # Six features share an l2 radius: the mean moves by 0.01 / sqrt(6).
    lower, _ = tfr.bounds(model, x, 0.01, norm="l2")
    np.testing.assert_allclose(
        lower[:, 1], margin - 0.04 / np.sqrt(6), atol=1e-4
    )


def test_an_unknown_norm_is_refused(model, data):
    with pytest.raises(ValueError, match='"linf", "l2" or "l1"'):
        tfr.bounds(model, data[0], 0.01, norm="max")
