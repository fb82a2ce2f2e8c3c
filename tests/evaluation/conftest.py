"""A linear model whose accuracy under attack is known by hand."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr

EPSILON = 0.1


@pytest.fixture
def model():
    """Class 1 iff the mean of the features is above one half."""

    def linear(x, training=False):
        margin = 4.0 * (tf.reduce_mean(x, axis=[1, 2]) - 0.5)
        return tf.stack([-margin, margin], axis=1)

    return linear


@pytest.fixture
def threat():
    return tfr.threats.Linf(EPSILON)


@pytest.fixture
def data():
    """40 examples: 36 are right, 26 of them further than epsilon from wrong.

    The mean of the first 10 is less than epsilon from one half, the others'
    is further away, and the last 4 have the wrong label.
    """
    rng = np.random.default_rng(0)
    near, far = rng.uniform(0.01, 0.09, 10), rng.uniform(0.12, 0.2, 30)
    y = np.arange(40) % 2
    mean = 0.5 + np.where(y, 1, -1) * np.concatenate([near, far])
    x = rng.uniform(-0.1, 0.1, (40, 2, 3))
    x += (mean - x.mean(axis=(1, 2)))[:, np.newaxis, np.newaxis]
    y[-4:] = 1 - y[-4:]
    return x.astype(np.float32), y


@pytest.fixture
def pgd(threat):
    return tfr.attacks.PGD(threat, steps=4, step_size=0.5)
