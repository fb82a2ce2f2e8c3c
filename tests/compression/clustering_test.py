"""Few values in each kernel, and what quantisation keeps of them."""

import numpy as np
import pytest

from tests.compression.conftest import (
    PGD,
    X,
    Y,
    dense,
    fit,
    kernels,
    network,
    tf_keras_only,
)
from tfrobust import objectives
from tfrobust.backend import keras
from tfrobust.compression import cluster, prune, quantize, strip
from tfrobust.compression.tfmot import tfmot

pytestmark = tf_keras_only


def values(model):
    """How many values each kernel has."""
    return [len(np.unique(kernel)) for kernel in kernels(model)]


def zeros(model):
    return [np.sum(kernel == 0) for kernel in kernels(model)]


def test_each_kernel_has_few_values_after_training():
    model = fit(cluster(network(), 4), objectives.TRADES(PGD))
    stock = strip(model)
    assert values(stock) == [4, 4, 4]
    assert [type(x) for x in stock.layers] == [
        type(x) for x in network().layers
    ]
    np.testing.assert_allclose(stock(X), model(X), atol=1e-6)


def test_the_combinations_keep_what_they_are_named_for():
    half = tfmot().sparsity.keras.ConstantSparsity(0.5, 0, frequency=1)
    update = [tfmot().sparsity.keras.UpdatePruningStep()]
    pruned = strip(fit(prune(dense(), half), callbacks=update))
    assert zeros(pruned) == [64, 48]
    sparse = fit(quantize(pruned, X, preserve_sparsity=True))
    for kernel, before in zip(
        applied(sparse.network), kernels(pruned), strict=True
    ):
        assert np.all(kernel[before == 0] == 0)
    shared = strip(fit(cluster(pruned, 4, preserve_sparsity=True)))
    assert values(shared) == [4, 4]
    assert zeros(shared) == [64, 48]
    both = quantize(shared, X, preserve_sparsity=True, preserve_clusters=True)
    fit(both, objectives.WorstCase(PGD))
    count = len(both.weights)
    stripped = strip(both)
    assert [len(np.unique(kernel)) for kernel in applied(stripped)] == [4, 4]
    # Centroids, associations and unclustered kernels are gone.
    assert len(stripped.weights) == count - 2 * 3


def applied(model):
    """The kernels that a quantised network computes with."""
    model(X, training=False)
    wrapped = [x.layer for x in model.layers if hasattr(x, "layer")]
    return [np.asarray(x.kernel) for x in wrapped if hasattr(x, "kernel")]


def test_layers_that_cannot_be_clustered_are_all_listed():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            layers.PReLU(name="first"),
            layers.Conv2D(2, 2, name="fine"),
            layers.PReLU(name="second"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    listed = r"also: first \(PReLU\), second \(PReLU\)\. Name the layers"
    with pytest.raises(NotImplementedError, match=listed):
        cluster(model, 4)


@pytest.mark.parametrize(
    ("clusters", "sparse"), [(1, False), (2, True), (2.5, False)]
)
def test_too_few_clusters_are_refused(clusters, sparse):
    with pytest.raises(ValueError, match="`clusters` must be a whole number"):
        cluster(dense(), clusters, preserve_sparsity=sparse)


def convolved(*parts):
    return keras.Sequential(
        [keras.Input((4, 4, 4)), *parts, keras.layers.Flatten()]
    )


@pytest.mark.parametrize("use_bias", [False, True])
def test_each_filter_of_a_convolution_has_values_of_its_own(use_bias):
    conv = keras.layers.Conv2D(3, 3, use_bias=use_bias)
    model = fit(cluster(convolved(conv), 4, per_channel=True))
    (kernel,) = kernels(strip(model))
    assert [len(np.unique(kernel[..., i])) for i in range(3)] == [4, 4, 4]


def test_kernels_that_would_be_left_are_named():
    layers = keras.layers
    model = convolved(
        layers.DepthwiseConv2D(2, name="depthwise"),
        layers.SeparableConv2D(8, 2, name="separable"),
        layers.Conv2D(3, 1, name="fine"),
    )
    listed = r"also: depthwise \(Depth\S+\), separable \(Sep\S+\)\. Name"
    with pytest.raises(NotImplementedError, match=listed):
        cluster(model, 4)
    stock = strip(cluster(model, 4, layers=["fine"]))
    assert values(stock)[-1] == 4
    with pytest.raises(ValueError, match="Received also: other"):
        cluster(model, 4, layers=["other"])
    model.get_layer("depthwise").trainable = False
    model.get_layer("separable").trainable = False
    assert values(strip(cluster(model, 4)))[-1] == 4


def test_attention_which_cannot_be_stripped_is_refused():
    image = keras.Input((4, 4))
    attention = keras.layers.MultiHeadAttention(1, 2, name="attention")
    model = keras.Model(image, attention(image, image))
    with pytest.raises(NotImplementedError, match=r"also: attention \(Multi"):
        cluster(model, 4)


def test_a_robust_model_is_loaded_as_any_other(tmp_path):
    model = fit(cluster(network(), 4))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    loaded.fit(X, Y, 8, verbose=0)
    assert values(strip(loaded)) == [4, 4, 4]
