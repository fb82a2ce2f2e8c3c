"""Networks for digits, trained in three ways, to be decided about.

for name, network, x, y in trained.networks_of(points=4, epsilon=0.05, seed=0):
    ...
"""

import itertools

import numpy as np

import tfrobust as tfr
from examples import datasets, networks
from tfrobust.backend import keras

layers, objectives, verifiers = keras.layers, tfr.objectives, tfr.verifiers
EPOCHS = 10


def deep(layers_of):
    """So many layers of 256 ReLUs."""

    def made():
        steps = [layers.Dense(256, activation="relu") for _ in range(layers_of)]
        image = keras.Input((8, 8, 1), name="image")
        return keras.Sequential(
            [image, layers.Flatten(), *steps, layers.Dense(10)]
        )

    return made


NETWORKS = {
    "fc1": lambda: networks.build("fc1", (8, 8, 1), 10, width=128),
    "cnn": networks.digits_cnn,
    "256x2": deep(2),
    "256x4": deep(4),
    "256x6": deep(6),
}
METHODS = {
    "pgd": lambda threat: objectives.WorstCase(
        tfr.attacks.PGD(threat, steps=5, step_size=0.4)
    ),
    "ibp": lambda threat: objectives.WorstCase(verifiers.IBP(threat), mix=0.5),
    "kw": lambda threat: objectives.WorstCase(
        verifiers.FastLin(threat), mix=0.5
    ),
}


def networks_of(points, epsilon, seed):
    """Yields names, networks, images that they get right, and labels.

    Args:
        points: How many images of each, the first of those for testing.
        epsilon: The linf radius in training, which it grows to.
        seed: Keys weights and the order of training.
    """
    (x, y), (x_test, y_test) = datasets.load("digits")
    total = EPOCHS * -(-len(x) // 64)
    for build, method in itertools.product(NETWORKS, METHODS):
        keras.utils.set_random_seed(seed)
        grown = tfr.schedules.Ramp(0.0, epsilon, end=total // 2)
        model = tfr.RobustModel(NETWORKS[build]())
        model.compile(
            "adam", objective=METHODS[method](tfr.threats.Linf(grown))
        )
        model.fit(x, y, batch_size=64, epochs=EPOCHS, verbose=0)
        logits = np.asarray(model.network(x_test, training=False))
        (right,) = np.nonzero(np.argmax(logits, axis=1) == y_test)
        chosen = right[:points]
        name = f"{build}, {method}"
        yield name, model.network, x_test[chosen], y_test[chosen]
