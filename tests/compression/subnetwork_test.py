"""The surgery: which layers come out, and that they learn."""

import numpy as np
import pytest
import sklearn.datasets

import tfrobust as tfr
from examples import networks
from tfrobust.backend import keras
from tfrobust.compression import layer_densities, plain, subnetwork
from tfrobust.layers.top_k import kept_count

X = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)


def convolutional(**options):
    """One layer of each kind that is replaced, in a nested model too."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 6)),
            layers.DepthwiseConv2D(3, 1, "same", 2, activation="relu"),
        ],
        name="inner",
    )
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(2.0, -1.0),
            layers.Conv2D(
                6,
                3,
                2,
                "same",
                activation="relu",
                kernel_regularizer=keras.regularizers.L2(0.5),
                name="first",
            ),
            layers.BatchNormalization(momentum=0.7, epsilon=0.01, name="norm"),
            layers.UpSampling2D(),
            inner,
            layers.Flatten(),
            layers.Dense(10, name="last"),
        ],
        **options,
    )


def test_every_kernel_becomes_scores_and_nothing_else_is_trained():
    network = subnetwork(convolutional(name="small"), density=0.3, seed=4)
    assert network.name == "small"
    sizes = [9 * 6, 9 * 6 * 2, 8 * 8 * 12 * 10]
    shapes = [int(np.prod(w.shape)) for w in network.trainable_weights]
    assert shapes == sizes
    first, norm = network.get_layer("first"), network.get_layer("norm")
    depthwise = network.get_layer("inner").layers[0]
    last = network.get_layer("last")
    densities = layer_densities(sizes, 0.3, 0.1)
    for place, layer in enumerate((first, depthwise, last)):
        assert layer.density == densities[place] and layer.seed == 4 + place
        kept = kept_count(sizes[place], layer.density)
        assert np.count_nonzero(layer.kernel) == kept
    assert (first.strides, first.padding) == ((2, 2), "same")
    assert first.activation is keras.activations.relu
    assert depthwise.depth_multiplier == 2
    scores = np.asarray(first.scores)
    assert len(network.losses) == 1
    assert float(network.losses[0]) == pytest.approx(0.5 * np.sum(scores**2))
    assert (norm.momentum, norm.epsilon) == (0.7, 0.01)
    assert not norm.center and not norm.scale
    appended = network.layers[-1]
    assert (appended.momentum, appended.epsilon) == (0.9, 1e-5)
    assert not appended.center and not appended.scale
    assert network(X).shape == (4, 10)


def test_the_last_normalization_can_be_left_out():
    network = subnetwork(convolutional(), 0.3, last_normalization=False)
    assert network.layers[-1].name == "last"


def test_residual_networks_keep_their_shape_and_sizes():
    model = networks.resnet18(width=2)
    network = subnetwork(model, density=0.1, p=0.5)
    replaced = [layer for layer in network.layers if hasattr(layer, "scores")]
    kernels = [w for w in model.trainable_weights if len(w.shape) > 1]
    assert [layer.kernel.shape for layer in replaced] == [
        tuple(w.shape) for w in kernels
    ]
    assert len(replaced) == len(network.trainable_weights) == 21
    total = sum(np.count_nonzero(layer.kernel) for layer in replaced)
    sizes = sum(int(np.prod(w.shape)) for w in kernels)
    assert 0.1 * sizes - 1 <= total <= 0.1 * sizes + len(kernels)
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    assert network(images).shape == (2, 10)


def test_weights_of_other_layers_are_copied():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Normalization(
                mean=[1.0, 2.0, 3.0], variance=[4.0] * 3
            ),
            keras.layers.LayerNormalization(trainable=False, name="frozen"),
            keras.layers.Dense(2),
        ]
    )
    model.get_layer("frozen").set_weights([np.full(3, 5.0), np.full(3, 6.0)])
    network = subnetwork(model, density=0.5)
    rows = np.random.default_rng(0).random((4, 3), np.float32)
    hidden = keras.Sequential(model.layers[:-1])(rows)
    copied = keras.Sequential(network.layers[:-2])(rows)
    np.testing.assert_array_equal(hidden, copied)


def test_layers_that_do_not_fit_are_all_listed():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, groups=2, name="grouped"),
            layers.LayerNormalization(name="norm"),
            layers.Conv2D(4, 3, name="fine"),
            layers.Conv2DTranspose(4, 3, name="transposed"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    listed = (
        r"Received also: grouped \(Conv2D\), norm \(LayerNormalization\), "
        r"transposed \(Conv2DTranspose\)\. Replace"
    )
    with pytest.raises(NotImplementedError, match=listed):
        subnetwork(model, density=0.5)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3)

    def call(self, inputs, training=False):
        return self.head(inputs)


@pytest.mark.parametrize(
    "model", [Subclassed(), keras.Sequential([keras.layers.Dense(3)])]
)
@pytest.mark.parametrize("change", [subnetwork, plain])
def test_a_model_that_cannot_be_taken_apart_is_refused(model, change):
    with pytest.raises(ValueError, match="built and has one output. Received"):
        change(model)


def test_it_learns_to_withstand_an_attack():
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    network = subnetwork(networks.digits_cnn(), density=0.1)
    model = tfr.RobustModel(network)
    linf = tfr.threats.Linf(0.1)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        objective=tfr.objectives.WorstCase(tfr.attacks.PGD(linf, steps=2)),
        adversaries={"pgd": tfr.attacks.PGD(linf, steps=10)},
    )
    model.fit(x[:1400], labels[:1400], batch_size=100, epochs=4, verbose=0)
    logs = model.evaluate(x[1400:], labels[1400:], verbose=0, return_dict=True)
    assert logs["accuracy"] > 0.8
    assert logs["pgd_accuracy"] > 0.4


def test_frozen_layers_stay_as_they_are():
    layers, random = keras.layers, np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(2, 3, trainable=False, name="frozen"),
            layers.BatchNormalization(trainable=False, name="norm"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.get_layer("norm").set_weights(random.random((4, 2)) + 0.5)
    network = subnetwork(model, density=0.5)
    for name in ("frozen", "norm"):
        old, new = model.get_layer(name), network.get_layer(name)
        assert type(old) is type(new) and not new.trainable
        for before, after in zip(
            old.get_weights(), new.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(before, after)
    assert len(network.trainable_weights) == 1
    model.trainable = False
    with pytest.raises(ValueError, match="must have a trainable Conv2D"):
        subnetwork(model)
