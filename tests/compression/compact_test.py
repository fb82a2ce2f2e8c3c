"""Channels that go: by hand, and in random chain and residual networks."""

import numpy as np
import pytest

import tfrobust as tfr
from examples import networks
from tfrobust.backend import keras
from tfrobust.compression import compact, plain, subnetwork

layers = keras.layers
RNG = np.random.default_rng(0)


def images(model, count=8):
    """Multiples of 1/4, whose sums with signs are exact."""
    shape = (count, *model.input_shape[1:])
    return RNG.integers(0, 5, shape).astype(np.float32) / 4


def difference(model, small):
    """The largest difference of the outputs, relative to the largest one."""
    x = images(model)
    outputs = np.asarray(model(x, training=False))
    gap = np.max(np.abs(np.asarray(small(x, training=False)) - outputs))
    return gap / np.max(np.abs(outputs))


def widths(model):
    """The number of output channels of every kernel."""
    return [w.shape[-1] for w in model.get_weights() if w.ndim > 1]


def signs(kernel, density):
    """Random signs at random positions, and channels without any."""
    kept = RNG.random(kernel.shape) < density
    kept &= RNG.random(kernel.shape[-1]) < 0.6
    return np.where(kept, RNG.choice([-1.0, 1.0], kernel.shape), 0.0)


def masked(model, density=0.2):
    """Gives every kernel a random mask, and every other weight a value."""
    model.set_weights(
        [
            signs(w, density) if w.ndim > 1 else RNG.random(w.shape) + 0.5
            for w in model.get_weights()
        ]
    )
    return model


def chain(padding, use_bias):
    options = {"padding": padding, "use_bias": use_bias}
    return keras.Sequential(
        [
            keras.Input((9, 9, 2), name="image"),
            layers.Conv2D(8, 3, activation="relu", **options),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.DepthwiseConv2D(3, depth_multiplier=2, **options),
            layers.MaxPooling2D(),
            layers.Conv2D(9, 1, 1, activation="sigmoid", **options),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(12, use_bias=use_bias, activation="relu"),
            layers.BatchNormalization(scale=False),
            layers.Dense(3, use_bias=use_bias),
        ],
        name="chain",
    )


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("use_bias", [False, True])
def test_a_chain_keeps_its_outputs(padding, use_bias):
    model = masked(chain(padding, use_bias))
    small = compact(model)
    assert small.count_params() < 0.8 * model.count_params()
    # Sums of fewer terms are rounded in another order.
    assert difference(model, small) < 1e-5
    assert small.name == "chain" and small.input_shape == model.input_shape
    assert widths(compact(small)) == widths(small)


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet18"])
@pytest.mark.parametrize("reset_means", [False, True])
def test_residual_networks_keep_their_outputs(name, reset_means):
    model = networks.NETWORKS[name](1, (8, 8, 3), 3)
    model = plain(subnetwork(model, density=0.3))
    model(images(model), training=True)
    # A third of the channels dies, and normalisation remembers it alive.
    weights = model.get_weights()
    for weight in weights:
        if weight.ndim == 4:
            weight[..., ::3] = 0
    model.set_weights(weights)
    small = compact(model, reset_means)
    if reset_means:
        *hidden, logits = widths(model)
        left = [n - len(range(0, n, 3)) for n in hidden]
        assert widths(small) == [*left, logits]
    else:
        assert sum(widths(small)) < 0.95 * sum(widths(model))
        assert difference(model, small) < 1e-5


def set_kernels(model, *kernels):
    """Gives every layer with a kernel one of 1x1 taps."""
    hosts = [x for x in model.layers if hasattr(x, "kernel")]
    for layer, kernel in zip(hosts, kernels, strict=True):
        old, *rest = layer.get_weights()
        layer.set_weights([np.reshape(kernel, old.shape), *rest])


def residual():
    """Two branches of three channels, their sum, and one that reads it."""
    image = keras.Input((4, 4, 2))
    one = layers.Conv2D(3, 1, use_bias=False, name="one")(image)
    two = layers.Conv2D(3, 1, use_bias=False, name="two")(image)
    x = layers.ReLU()(layers.Add()([one, two]))
    x = layers.Conv2D(2, 3, padding="same", use_bias=False, name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("one", "two", "read", "left"),
    [
        # Dead on one branch: it stays.
        ([1, 1, 0], [1, 1, 1], [1, 1, 1], [True, True, True]),
        # Dead on both: it goes.
        ([1, 1, 0], [1, 1, 0], [1, 1, 1], [True, True, False]),
        # Alive, but unread behind the sum: it goes.
        ([1, 1, 1], [1, 1, 0], [1, 0, 1], [True, False, True]),
        # None matters, but a layer needs a channel.
        ([0, 0, 0], [0, 0, 0], [1, 1, 1], [True, False, False]),
    ],
)
def test_branches_lose_a_channel_together_or_not_at_all(one, two, read, left):
    model = residual()
    rows = np.ones((2, 1), np.float32)
    last = np.reshape(read, (3, 1)) * RNG.choice([-1.0, 1.0], (9, 3, 2))
    set_kernels(model, rows * one, rows * two, last)
    small = compact(model)
    before, after = model.get_weights(), small.get_weights()
    for old, new in zip(before[:2], after[:2], strict=True):
        np.testing.assert_array_equal(old[..., left], new)
    np.testing.assert_array_equal(before[2][:, :, left], after[2])
    x = images(model)
    # All sums are exact, so there is nothing to round.
    np.testing.assert_array_equal(model(x), small(x))


def test_a_chain_dies_from_both_ends_to_a_fixpoint():
    model = keras.Sequential(
        [keras.Input((2,))]
        + [layers.Dense(n, use_bias=False, activation="relu") for n in (3, 3)]
        + [layers.Dense(2, use_bias=False)]
    )
    # Unit 0 goes as nobody reads its only reader, unit 2 as nothing feeds it.
    set_kernels(
        model,
        [[1, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0], [1, -1], [1, 1]],
    )
    small = compact(model)
    assert widths(small) == [1, 1, 2]
    np.testing.assert_array_equal(small.get_weights()[0], [[1], [1]])
    x = images(model)
    np.testing.assert_array_equal(model(x), small(x))


def stale(padding):
    """A channel without weights, whose mean is of when it was alive."""
    model = keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Conv2D(2, 1, use_bias=False),
            layers.BatchNormalization(epsilon=0.0, center=False, scale=False),
            layers.ReLU(),
            layers.Conv2D(2, 3, padding=padding, use_bias=False),
            layers.GlobalAveragePooling2D(),
        ]
    )
    last = np.ones((3, 3, 2, 2))
    last[..., 1, 1] = -1
    weights = [[[[[1, 0]]]], [0, -2], [1, 4], last]
    model.set_weights([np.asarray(w, np.float32) for w in weights])
    return model


def test_a_constant_moves_into_the_bias_where_nothing_is_padded():
    model = stale("valid")
    small = compact(model)
    assert widths(small) == [1, 2]
    # The dead channel is 2 / sqrt(4) at each of 9 taps.
    np.testing.assert_array_equal(small.get_weights()[-1], [9, -9])
    assert difference(model, small) < 1e-6


def test_a_constant_stays_where_zeros_are_padded_unless_means_are_reset():
    model = stale("same")
    assert widths(compact(model)) == [2, 2]
    assert difference(model, compact(model)) == 0
    small = compact(model, reset_means=True)
    assert widths(small) == [1, 2]
    assert len(small.get_weights()) == 4  # No bias is needed.
    # As in training, the dead channel is 0, where it was 1.
    weights = model.get_weights()
    weights[1][1] = 0.0
    model.set_weights(weights)
    assert difference(model, small) < 1e-6


def test_what_is_unknown_keeps_its_channels():
    shared = layers.Dense(4, use_bias=False, name="shared")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="inner")
    image = keras.Input((4,))
    x = shared(shared(image))
    x = layers.Dense(5, use_bias=False, name="free")(x)
    x = layers.Dense(4, use_bias=False, activation="softmax", name="mixed")(x)
    x = layers.LayerNormalization()(inner(x))
    x = layers.Concatenate()([x, image])
    model = keras.Model(image, layers.Dense(2, name="last")(x))
    masked(model, 0.5)
    weights = model.get_layer("free").get_weights()[0]
    weights[:, :3] = 0
    model.get_layer("free").set_weights([weights])
    small = compact(model)
    assert widths(small) == [4, 5, 4, 4, 2]
    assert difference(model, small) < 1e-6


def test_sparse_layers_and_averages_become_plain_first():
    network = subnetwork(networks.digits_cnn(2), density=0.05)
    model = tfr.RobustModel(network)
    model.compile(keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5))
    x = images(network)
    for _ in range(2):
        model.train_on_batch(x, np.arange(8) % 3)
    small = compact(model)
    assert small.count_params() < network.count_params()
    gap = small.predict(x, verbose=0) - model.predict(x, verbose=0)
    assert np.max(np.abs(gap)) < 1e-5


def test_operations_that_are_no_layers_are_refused():
    image = keras.Input((4,))
    model = keras.Model(image, layers.Dense(2)(image) + 1.0)
    with pytest.raises(NotImplementedError, match="Received also the operat"):
        compact(model)
