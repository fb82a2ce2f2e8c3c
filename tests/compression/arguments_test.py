"""What a stranger might pass: one sentence each."""

import numpy as np
import pytest

import tfrobust as tfr
from tests.compression.conftest import X, network, tf_keras_only
from tfrobust import compression
from tfrobust.backend import NAME, keras
from tfrobust.compression import layer_densities, packing, subnetwork
from tfrobust.compression.tfmot import tfmot


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3)

    def call(self, inputs, training=False):
        return self.head(inputs)


def inside():
    """A functional model with a subclassed one in it."""
    image = keras.Input((3,))
    return keras.Model(image, Subclassed()(image))


def constant():
    return tfmot().sparsity.keras.ConstantSparsity(0.5, 0)


NO_MODELS = {
    "none": lambda: None,
    "path": lambda: "network.keras",
    "layer": lambda: keras.layers.Dense(3),
    "function": lambda: np.tanh,
    "unbuilt": lambda: keras.Sequential([keras.layers.Dense(3)]),
    "subclassed": Subclassed,
    "subclassed inside": inside,
    "of a subclassed": lambda: tfr.RobustModel(Subclassed()),
}
CHANGES = {
    "plain": compression.plain,
    "compact": compression.compact,
    "fold": compression.fold,
    "subnetwork": lambda model: subnetwork(model, 0.5),
    "report": compression.report,
    "convert": compression.to_tf_keras
    if NAME == "keras"
    else compression.to_keras,
}
if NAME == "tf_keras":
    CHANGES |= {
        "prune": lambda model: compression.prune(model, constant()),
        "cluster": lambda model: compression.cluster(model, 4),
        "quantize": lambda model: compression.quantize(model, X),
        "calibrate": lambda model: compression.calibrate(model, X),
        "strip": compression.strip,
    }


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NO_MODELS)
def test_what_is_no_model_to_take_apart_is_refused(change, name):
    if (change, name) == ("report", "subclassed inside"):
        pytest.skip("its layers can be counted")
    with pytest.raises(
        (NotImplementedError, TypeError, ValueError), match="Received"
    ):
        CHANGES[change](NO_MODELS[name]())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("density", v) for v in (0, -1, 2, np.nan, "1", None, True)],
        *[("p", v) for v in (-1, 2, np.nan, "0", None)],
        *[("score_scale", v) for v in (0, np.nan, "1", None, np.inf)],
        *[("initializer", v) for v in ("x", None)],
        *[("last_normalization", v) for v in ("no", None)],
        *[("seed", v) for v in (1.5, "0", None)],
    ],
)
def test_a_subnetwork_of_impossible_arguments_is_refused(name, value):
    arguments = {"density": 0.5} | {name: value}
    with pytest.raises(
        (TypeError, ValueError), match=f"`{name}` must .*{name}="
    ):
        subnetwork(network(), **arguments)


def test_a_flag_must_be_one():
    with pytest.raises(TypeError, match="`reset_means` must be a bool"):
        compression.compact(network(), reset_means="no")


@pytest.mark.parametrize("value", [None, "a", 3, {"a": 1}, 1j * np.ones(2)])
def test_what_is_no_kernel_is_not_packed(value):
    for function in (packing.pack, packing.storage):
        with pytest.raises(ValueError, match="`kernel` must be an array"):
            function(value)
    with pytest.raises(TypeError, match="`packed` must be a Packed"):
        packing.unpack(value)


@pytest.mark.parametrize("value", [None, 3, [0], [-1], ["a"], [np.nan], [1.5]])
def test_what_are_no_sizes_is_refused(value):
    with pytest.raises(ValueError, match="`sizes` must be .*sizes="):
        layer_densities(value, 0.5)


CALIBRATIONS = (None, "a", [], X[0], X[..., :1], X * np.nan, X * 9)
OF_TF_MOT = [
    *[("cluster", "clusters", v) for v in (None, "4", 1.5, True, -1, np.nan)],
    *[("cluster", "preserve_sparsity", v) for v in ("no", None)],
    *[("cluster", "per_channel", v) for v in ("no", None)],
    *[("cluster", "layers", v) for v in ("conv", [3], 3, [])],
    *[("prune", "layers", v) for v in ("conv", [3], 3, [])],
    *[("quantize", "calibration", v) for v in CALIBRATIONS],
    *[("quantize", "low", v) for v in (np.nan, "0", None, -np.inf)],
    *[("quantize", "high", v) for v in (np.nan, None, np.inf)],
    *[("quantize", "one_bit", v) for v in (3, "last", None, False)],
    *[("quantize", "preserve_sparsity", v) for v in ("no", None)],
    *[("quantize", "preserve_clusters", v) for v in ("no", None)],
]


@tf_keras_only
@pytest.mark.parametrize(("function", "name", "value"), OF_TF_MOT)
def test_impossible_arguments_are_refused(function, name, value):
    arguments = {
        "cluster": lambda: {"clusters": 4},
        "prune": lambda: {"schedule": constant()},
        "quantize": lambda: {"calibration": X},
    }[function]()
    name_in_sentence = {"calibration": "(calibration|x)"}.get(name, name)
    with pytest.raises(
        (TypeError, ValueError), match=f"`{name_in_sentence}` must .*Received"
    ):
        getattr(compression, function)(network(), **arguments | {name: value})


@tf_keras_only
@pytest.mark.parametrize("change", ["prune", "cluster"])
def test_a_network_without_kernels_is_refused(change):
    flat = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="must have a kernel that is trained"):
        CHANGES[change](flat)


@tf_keras_only
def test_quantisation_takes_one_input():
    images = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(images, keras.layers.Add()(images))
    with pytest.raises(ValueError, match="must have one input. Received: .* 2"):
        compression.quantize(model, X)
