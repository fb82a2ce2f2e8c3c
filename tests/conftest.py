"""Every test starts from the same seed and leaves no Keras state behind."""

import pytest

from tfrobust.backend import keras


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
