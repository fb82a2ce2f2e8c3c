"""What no layer can be made of: one sentence at once."""

import inspect

import numpy as np
import pytest

from tfrobust.backend import keras
from tfrobust.layers import (
    BinaryConv2D,
    BinaryDense,
    SparseBinaryConv2D,
    SparseBinaryDense,
    SparseBinaryDepthwiseConv2D,
)

DENSE = {"units": 3}
CONV = {"filters": 3, "kernel_size": 3}
LAYERS = {
    BinaryConv2D: CONV,
    BinaryDense: DENSE,
    SparseBinaryConv2D: CONV,
    SparseBinaryDense: DENSE,
    SparseBinaryDepthwiseConv2D: {"kernel_size": 3, "depth_multiplier": 1},
}
PAIRS = (0, -1, 1.5, True, (3,), (3, 0), (3, 3, 3), "33", None)
WRONG = {
    "units": (0, -1, 1.5, True, np.nan, "3", None),
    "filters": (0, 1.5, "3", None),
    "depth_multiplier": (0, -1, 1.5, None),
    "kernel_size": PAIRS,
    "strides": PAIRS,
    "dilation_rate": PAIRS,
    "padding": ("SAME", "causal", None, 3),
    "density": (0, 1.1, np.nan, True, "0.1", None),
    "score_scale": (0, -1, np.nan, np.inf, "1", None),
    "initializer": ("normal", None),
    "stochastic": ("yes", None, 2),
    "seed": (1.5, "0", np.nan),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", WRONG)
def test_an_argument_that_makes_no_layer_is_refused(kind, name):
    shown = inspect.signature(kind).parameters
    for value in WRONG[name] if name in shown else ():
        with pytest.raises(
            (TypeError, ValueError), match=f"`{name}` must .*Received: {name}="
        ):
            kind(**LAYERS[kind] | {name: value})


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_takes_what_its_configuration_says(kind):
    layer = kind(**LAYERS[kind], name="one")
    again = kind.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "kind", [BinaryConv2D, SparseBinaryConv2D, SparseBinaryDepthwiseConv2D]
)
def test_strides_with_dilation_are_refused(kind):
    with pytest.raises(ValueError, match="`dilation_rate` must be 1 where"):
        kind(**LAYERS[kind], strides=2, dilation_rate=2)


def test_a_depthwise_convolution_strides_both_axes_alike():
    with pytest.raises(ValueError, match=r"same in both.*strides=\(1, 2\)"):
        SparseBinaryDepthwiseConv2D(3, strides=(1, 2))


@pytest.mark.parametrize("kind", LAYERS)
def test_inputs_of_another_rank_are_refused(kind):
    axes = 1 if "units" in LAYERS[kind] else 3
    with pytest.raises(ValueError, match=r"`inputs` must have .* axes and a"):
        kind(**LAYERS[kind]).build((None, 4, 4)[:axes])


def test_an_unknown_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="known number of channels"):
        BinaryConv2D(3, 3)(keras.Input((4, 4, None)))


@pytest.mark.parametrize("value", ["weights", 3])
def test_what_is_no_regularizer_is_refused(value):
    with pytest.raises(ValueError, match="regularizer"):
        BinaryDense(3, kernel_regularizer=value)
    with pytest.raises(ValueError, match="regularizer"):
        SparseBinaryDense(3, score_regularizer=value)
