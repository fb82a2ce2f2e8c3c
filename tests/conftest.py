"""Every test starts from one seed; no file leaves Keras state behind."""

import contextlib
import gc
import random

import numpy as np
import pytest

from tests.keras_free import keras_free
from tests.nursery import Nursery


def pytest_collection_modifyitems(items):
    """Puts the last files first: the longest, so that workers end together."""
    files = list(dict.fromkeys(item.path for item in items))
    items.sort(key=lambda item: -files.index(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with guarded(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with guarded(item):
        return (yield)


def guarded(item):
    """Where a test and its fixtures run, by its marks in `pyproject.toml`."""
    marks = {mark.name for mark in item.iter_markers()}
    if "keras_free" in marks and "builds_keras" not in marks:
        from tfrobust.backend import keras

        return keras_free(keras)
    return contextlib.nullcontext()


@pytest.fixture(scope="session")
def keras_in_use():
    # Here, since the process that hands out the tests needs no TensorFlow.
    from tfrobust.backend import keras

    # What is imported stays, so no collection below needs to look through it.
    gc.freeze()
    return keras


@pytest.fixture(scope="session")
def nursery():
    with Nursery() as started:
        yield started


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)
    np.random.seed(0)


# Once a file: a seed of TensorFlow's own makes it optimise every function anew
# that tests share, and collecting garbage takes longer than most tests. What a
# collection leaves is in caches for good, and the next need not look again.
@pytest.fixture(autouse=True, scope="module")
def fresh_keras(keras_in_use):
    keras_in_use.utils.set_random_seed(0)
    yield
    keras_in_use.backend.clear_session()
    gc.freeze()
