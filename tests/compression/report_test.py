"""Counted by hand: kept weights, dead channels, operations and bytes."""

import json
import math
import sys

import numpy as np
import pytest

import tfrobust as tfr
from tests.compression.conftest import network, tf_keras_only
from tfrobust.backend import keras
from tfrobust.compression import plain, prune, report, subnetwork

layers = keras.layers


def by_hand():
    """A convolution of 2x2x2 taps with 3 of 8 weights, and a dense layer."""
    model = keras.Sequential(
        [
            keras.Input((4, 3, 2)),
            layers.Conv2D(2, (1, 2), use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(1, use_bias=False, name="last"),
        ]
    )
    conv = np.zeros((1, 2, 2, 2))
    conv[0, 0, 1, 1], conv[0, 1, 1, 1] = 1.0, -1.0
    ones = [np.ones(2)] * 4
    model.set_weights([conv, *ones, np.ones((16, 1))])
    return model


def test_every_figure_by_hand():
    found = report(by_hand())
    conv, last = found.layers
    assert (conv["layer"], conv["shape"]) == ("conv", (1, 2, 2, 2))
    assert (conv["weights"], conv["kept"], conv["density"]) == (8, 2, 0.25)
    # Of 28 pairs of weights, 6 leave out one given channel of 4 weights.
    for side in ("inputs", "outputs"):
        assert (conv[side], conv[f"dead_{side}"]) == (2, 1)
        share = 2 * math.comb(4, 2) / math.comb(8, 2)
        assert conv[f"dead_{side}_if_random"] == pytest.approx(share)
    # Each kept weight is used at 4 x 2 positions.
    assert (conv["operations"], last["operations"]) == (2 * 8, 16)
    # A byte for the mask, one for the signs, and a magnitude.
    assert conv["bits"] == 1 + 1 + 4
    assert last["dead_inputs"] == last["dead_inputs_if_random"] == 0
    assert list(found.patterns) == ["conv", "last"]
    np.testing.assert_array_equal(found.patterns["conv"], [[0, 0], [0, 2]])


def test_the_bytes_of_the_whole_model_by_hand():
    storage = report(by_hand()).storage
    rest, dense = 4 * 2 * 4, 4 * (8 + 16)
    assert storage["float32"] == {"disk": rest + dense, "memory": rest + dense}
    # A byte and two for the masks; a byte and two for the signs.
    planes = storage["sign + mask planes"]
    assert planes["disk"] == rest + 2 * (1 + 2)
    assert planes["memory"] == rest + dense + 2 * (1 + 2)
    # A plane of signs has no zeros.
    assert storage["sign plane"] == {"disk": None, "memory": None}
    assert storage["mask plane + kept signs"]["disk"] == rest + 1 + 1 + 2 + 2
    archive = storage["float32 as tar.gz"]
    assert 0 < archive["disk"] < 1000 and archive["memory"] == rest + dense
    bound = storage["entropy bound"]
    assert bound["memory"] is None
    # 8 (h(1/4)) + 2 bits, and 16 bits.
    assert bound["disk"] == rest + math.ceil((8 * 0.8112781 + 2) / 8) + 2
    assert storage["best"]["disk"] <= storage["sign + mask planes"]["disk"] + 8


def test_real_weights_are_not_counted_as_signs():
    model = by_hand()
    weights = model.get_weights()
    weights[-1] = np.random.default_rng(0).normal(size=(16, 1))
    model.set_weights(weights)
    storage = report(model).storage
    for scheme in ("sign + mask planes", "8-bit gaps + kept signs"):
        assert storage[scheme] == {"disk": None, "memory": None}
    # What the convolution takes, and 64 bytes of float32.
    assert storage["best"]["disk"] == 4 * 2 * 4 + 6 + 64
    # All are kept, so there is no mask to encode.
    assert storage["entropy bound"]["disk"] == 4 * 2 * 4 + 2 + 64


def test_one_magnitude_for_each_channel_is_counted_as_signs():
    model = by_hand()
    weights = model.get_weights()
    weights[0][0, 0, 0, 0] = 3.0
    model.set_weights(weights)
    found = report(model)
    assert found.storage["8-bit gaps + kept signs"]["disk"] is not None
    assert found.layers[0]["bits"] == 1 + 1 + 2 * 4


def test_a_depthwise_layer_has_the_outputs_of_all_its_inputs():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 3)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    kernel, bias = model.get_weights()
    kernel[..., 1, :], kernel[..., 2, 0] = 0, 0
    model.set_weights([kernel, bias])
    (row,) = report(model).layers
    assert (row["inputs"], row["dead_inputs"]) == (3, 1)
    assert (row["outputs"], row["dead_outputs"]) == (6, 3)
    assert row["operations"] == 27 * 9


def test_random_masks_leave_as_many_channels_empty_as_foreseen():
    model = keras.Sequential([keras.Input((40,)), layers.Dense(50)])
    random = np.random.default_rng(0)
    dead, foreseen = [], None
    for _ in range(30):
        kernel = np.zeros(2000)
        kernel[random.permutation(2000)[:60]] = 1
        model.set_weights([kernel.reshape(40, 50), np.zeros(50)])
        (row,) = report(model).layers
        dead.append(row["dead_outputs"])
        foreseen = row["dead_outputs_if_random"]
    assert np.mean(dead) == pytest.approx(foreseen, rel=0.05)


def test_a_subnetwork_is_counted_as_its_plain_network(tmp_path):
    model = subnetwork(by_hand(), density=0.5)
    found = report(tfr.RobustModel(model))
    assert found.to_dict() == report(plain(model)).to_dict()
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["layers"][0]["kept"] == found.layers[0]["kept"]
    found.save_figure(tmp_path / "pattern.svg")
    assert (tmp_path / "pattern.svg").read_text().count("kept weights") >= 2


def test_the_table_has_a_row_for_each_layer_and_each_scheme():
    text = str(report(by_hand()))
    assert "| conv | 1x2x2x2 | 8 | 2 | 0.2500 | 6.000 | 1/2 (0.4) |" in text
    assert "| all |  | 24 | 18 | 0.7500 |" in text
    assert "| sign plane | - | - |" in text
    assert "| float32 | 128 | 128 |" in text


def test_a_layer_that_is_called_twice_has_no_count_of_operations():
    shared = layers.Dense(4, name="shared")
    image = keras.Input((4,))
    model = keras.Model(image, shared(shared(image)))
    (row,) = report(model).layers
    assert row["operations"] in (None, 16)
    assert "shared" in str(report(model))


def test_a_missing_matplotlib_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"tfrobust\[examples\]"):
        report(by_hand()).save_figure(tmp_path / "pattern.svg")
    assert not list(tmp_path.iterdir())


def test_a_model_without_kernels_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    with pytest.raises(ValueError, match="must have kernels. Received"):
        report(model)


@tf_keras_only
def test_wrappers_of_tfmot_are_refused():

    pruned = prune(network(), m_by_n=(2, 4), layers=["conv", "hidden"])
    with pytest.raises(ValueError, match="Pass pruned or clustered models"):
        report(pruned)


def test_magnitudes_that_nearly_agree_are_no_signs():
    model = by_hand()
    weights = model.get_weights()
    weights[0][0, 0, 1, 1] *= np.float32(1.0005)
    model.set_weights(weights)
    found = report(model)
    assert found.layers[0]["bits"] == 32
    assert found.storage["8-bit gaps + kept signs"]["disk"] is None


def test_a_kernel_that_is_applied_at_each_step_counts_once():
    inner = tfr.layers.SparseBinaryDense(5, density=0.5)
    steps = keras.layers.TimeDistributed(inner, name="steps")
    last = keras.layers.Dense(2, name="last")
    network = keras.Sequential(
        [keras.Input((3, 4)), steps, keras.layers.Flatten(), last]
    )
    rows = {row["layer"]: row for row in report(network).layers}
    assert list(rows) == ["steps", "last"]
    assert (rows["steps"]["weights"], rows["steps"]["kept"]) == (20, 10)
    assert rows["last"]["kept"] == 30


def test_a_hidden_kernel_two_layers_deep_is_refused():
    binary = tfr.layers.SparseBinaryDense(5, density=0.5)
    for inner in keras.Sequential([binary]), layers.TimeDistributed(binary):
        shape = (4, 6) if inner.name.startswith("seq") else (2, 4, 6)
        image = keras.Input(shape)
        steps = layers.TimeDistributed(inner)(image)
        with pytest.raises(ValueError, match="outside of others"):
            report(keras.Model(image, steps))


def test_operations_of_a_shared_layer_are_unknown():
    image, shared = keras.Input((6,)), layers.Dense(6)
    found = report(keras.Model(image, layers.Dense(1)(shared(shared(image)))))
    assert [row["operations"] for row in found.layers] == [None, 6]


def test_layers_of_a_name_have_patterns_of_their_own():
    def part():
        return keras.Sequential([keras.Input((3,)), layers.Dense(3, name="k")])

    found = report(keras.Sequential([keras.Input((3,)), part(), part()]))
    assert list(found.patterns) == ["k", "k-2"]
    found = report(keras.Sequential([keras.Input((4, 3)), layers.GRU(2)]))
    first, second = found.patterns
    assert second == f"{first}-2"


def test_a_transposed_convolution_reads_its_last_axis():
    layer = layers.Conv2DTranspose(5, 1, use_bias=False)
    model = keras.Sequential([keras.Input((3, 3, 2)), layer])
    kernel = np.ones((1, 1, 5, 2))
    kernel[..., 4, :] = 0
    model.set_weights([kernel])
    ((row,), (pattern,)) = report(model).layers, report(model).patterns.values()
    assert (row["inputs"], row["dead_inputs"]) == (2, 0)
    assert (row["outputs"], row["dead_outputs"]) == (5, 1)
    assert pattern.shape == (2, 5)


def test_what_is_no_kernel_is_stored_with_the_rest():
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.Dense(4, name="k"),
            layers.PReLU(),
            layers.LayerNormalization([1, 2]),
            layers.Flatten(),
        ]
    )
    found = report(model)
    assert [row["layer"] for row in found.layers] == ["k"]
    bytes_ = 4 * model.count_params()
    assert found.storage["float32"] == {"disk": bytes_, "memory": bytes_}
