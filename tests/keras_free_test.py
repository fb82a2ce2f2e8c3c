"""What is marked `keras_free` and needs Keras all the same is found out."""

import pytest

from tests.keras_free import keras_free
from tfrobust.backend import keras

BUILT = {
    "layer": lambda: keras.layers.Dense(1),
    "input": lambda: keras.Input((2,)),
    "model": lambda: keras.Sequential(),
    "loss": lambda: keras.losses.MeanSquaredError(),
    "metric": lambda: keras.metrics.Mean(),
    "optimizer": lambda: keras.optimizers.Adam(),
    "callback": lambda: keras.callbacks.History(),
}


@pytest.mark.parametrize("build", BUILT.values(), ids=BUILT)
def test_what_is_built_is_refused_and_built_again_afterwards(build):
    with pytest.raises(AssertionError, match="must build and call no object"):
        with keras_free(keras):
            build()
    build()


def test_what_was_built_before_cannot_be_called():
    layer, loss = keras.layers.ReLU(), keras.losses.MeanSquaredError()
    for call in (lambda: layer([1.0]), lambda: loss([1.0], [2.0])):
        with pytest.raises(AssertionError, match="Received: (ReLU|MeanSq)"):
            with keras_free(keras):
                call()


def test_a_refusal_that_is_caught_fails_all_the_same():
    with pytest.raises(AssertionError, match="Received: Dense, ReLU"):
        with keras_free(keras):
            for build in (lambda: keras.layers.Dense(1), keras.layers.ReLU):
                with pytest.raises(AssertionError):
                    build()


def test_what_needs_no_keras_passes():
    with keras_free(keras):
        pass


@pytest.fixture(scope="module")
def early():
    return keras.layers.ReLU()


@pytest.mark.keras_free
@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_a_marked_test_that_builds_a_layer_fails():
    keras.layers.ReLU()


@pytest.mark.keras_free
@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_a_marked_test_whose_fixture_builds_a_layer_fails(early):
    pass
