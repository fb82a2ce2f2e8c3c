import functools

import numpy as np
import pytest

from examples import networks
from tfrobust.backend import keras

SMALL = {
    "digits_cnn": ((8, 8, 1), 4),
    "small_cnn": ((28, 28, 1), 4),
    "sorting_cnn": ((28, 28, 1), 4),
    "normalized_cnn": ((28, 28, 1), 4),
    "fc1": ((28, 28, 1), 8),
    "normalized_fc1": ((28, 28, 1), 8),
    "sorting_fc1": ((28, 28, 1), 8),
    "lenet": ((28, 28, 1), 1),
    "cifar_lenet": ((32, 32, 3), 1),
    "vgg16": ((32, 32, 3), 1),
    "resnet18": ((32, 32, 3), 1),
    "preact_resnet18": ((32, 32, 3), 1),
    "small_resnet": ((32, 32, 3), 1),
    "wide_resnet": ((32, 32, 3), 1),
}


@functools.cache
def small(name):
    shape, width = SMALL[name]
    return networks.build(name, shape, classes=7, width=width)


def trainable_count(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("digits_cnn", {}, 41_866),
        ("small_cnn", {}, 166_406),
        ("sorting_cnn", {}, 166_406),
        ("normalized_cnn", {}, 166_702),
        ("fc1", {}, 814_090),
        ("normalized_fc1", {}, 816_138),
        ("lenet", {}, 3_274_634),
        ("cifar_lenet", {}, 3_882_858),
        ("vgg16", {}, 3_686_954),
        ("resnet18", {}, 2_797_610),
        ("resnet18", {"width": 16}, 11_173_962),
        ("preact_resnet18", {}, 11_172_170),
        ("preact_resnet18", {"classes": 100}, 11_218_340),
        ("small_resnet", {}, 77_850),
        ("wide_resnet", {}, 46_160_474),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, options, count):
    assert trainable_count(networks.NETWORKS[name](**options)) == count


def test_every_network_has_a_row_in_these_tests():
    assert set(SMALL) == set(networks.NETWORKS)


@pytest.mark.parametrize("name", SMALL)
def test_every_network_ends_in_logits_of_an_input_named_image(name):
    model = small(name)
    images = np.random.default_rng(0).random((4, *model.input_shape[1:]))
    logits = np.asarray(model(images.astype(np.float32), training=False))
    assert model.name == name
    assert [layer.name for layer in model.layers][0] == "image"
    assert model.layers[-1].get_config()["activation"] == "linear"
    assert logits.shape == (4, 7)
    assert np.isfinite(logits).all()
    assert (logits < 0).any()
    assert np.ptp(logits, axis=0).max() > 0


@pytest.mark.parametrize("name", SMALL)
def test_every_network_comes_back_from_its_configuration(name):
    model = small(name)
    copy = type(model).from_config(model.get_config())
    assert trainable_count(copy) == trainable_count(model)


@pytest.mark.parametrize(
    "name", ["vgg16", "resnet18", "preact_resnet18", "wide_resnet"]
)
def test_batch_normalization_has_the_constants_of_pytorch(name):
    found = [
        (layer.get_config()["momentum"], layer.get_config()["epsilon"])
        for layer in small(name).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert found
    assert set(found) == {(0.9, 1e-5)}


def test_a_strided_convolution_pads_one_pixel_on_every_side():
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, networks.convolution(image, 1, 3, strides=2))
    model.set_weights([np.ones((3, 3, 1, 1), np.float32)])
    sums = np.asarray(model(np.ones((1, 4, 4, 1), np.float32)))[0, :, :, 0]
    # Without the corner and edge pixels outside the image.
    np.testing.assert_array_equal(sums, [[4, 6], [6, 9]])


def kernels(model):
    """The initial 3x3 kernels, in order."""
    values = (layer.get_weights()[0] for layer in model.layers if layer.weights)
    return [k for k in values if k.shape[:2] == (3, 3)]


def test_wide_resnet_starts_from_the_kernels_of_he():
    last = kernels(networks.wide_resnet(4, 10))[-1]
    assert last.shape == (3, 3, 256, 256)
    assert np.var(last) == pytest.approx(2 / (9 * 256), rel=0.02)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "preact_resnet18"])
def test_other_deep_networks_start_from_the_kernels_of_pytorch(name):
    last = kernels(networks.build(name, (32, 32, 3), 10, width=4))[-1]
    assert last.shape == (3, 3, 128, 128)
    limit = (9 * 128) ** -0.5
    assert np.abs(last).max() == pytest.approx(limit, rel=1e-3)
    assert np.var(last) == pytest.approx(limit**2 / 3, rel=0.02)


def test_convolutions_of_one_network_start_from_different_kernels():
    last, before = kernels(small("resnet18"))[:-3:-1]
    assert last.shape == before.shape
    assert np.abs(last - before).max() > 0


def test_softplus_makes_the_preactivation_network_smooth():
    model = networks.preact_resnet18(width=1, activation="softplus")
    activations = {
        layer.get_config()["activation"]
        for layer in model.layers
        if isinstance(layer, keras.layers.Activation)
    }
    assert activations == {"softplus"}


def test_an_unknown_network_is_refused_by_name():
    with pytest.raises(ValueError, match="must be one of .*lenet.*'alexnet'"):
        networks.build("alexnet", (28, 28, 1), 10)


@pytest.mark.parametrize("depth", [4, 20, 33])
def test_a_wide_resnet_of_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match=f"plus 4.*depth={depth}"):
        networks.wide_resnet(1, depth)


def test_a_network_is_remade_with_other_kernels_but_its_last():
    network = small("small_cnn")
    penalty = keras.regularizers.L1(0.5)
    kernels = {"kernel_initializer": "ones", "kernel_regularizer": penalty}
    new = networks.remade(network, kernels)
    *before, head = (w for w in new.get_weights() if w.ndim > 1)
    assert all(np.all(kernel == 1) for kernel in before)
    np.testing.assert_array_equal(head, network.get_weights()[-2])
    paid = 0.5 * (sum(kernel.size for kernel in before) + np.abs(head).sum())
    np.testing.assert_allclose(sum(map(float, new.losses)), paid, rtol=1e-5)
