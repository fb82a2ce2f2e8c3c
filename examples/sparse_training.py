"""The networks that sparse_binary.py compares, and their training.

Usage:
    network = sparse_training.train(FLAGS, x, y)

The flags are those of sparse_binary.py. The networks follow the paper's: no
biases, a normalisation behind each convolution and behind the logits.

Reference: Liu et al., 2022, arXiv 2202.01341.
"""

import functools
from typing import Any

import datasets
import tfrobust as tfr
from tfrobust.backend import keras

layers, compression = keras.layers, tfr.compression


def network(flags, shape, steps):
    """The network to train, for images of `shape` and `steps` in all."""
    convolution: Any = functools.partial(layers.Conv2D, use_bias=False)
    dense: Any = functools.partial(layers.Dense, use_bias=False)
    if flags.method == "binary_connect":
        convolution, dense = tfr.layers.BinaryConv2D, tfr.layers.BinaryDense
    whole = convolutional(
        flags.width,
        shape,
        convolution,
        dense,
        # A subnetwork brings its own.
        flags.last_normalization and flags.method != "subnetwork",
    )
    if flags.method == "tfmot":
        return pruned(whole, flags, steps)
    if flags.method != "subnetwork":
        return whole
    return compression.subnetwork(
        whole,
        flags.density,
        flags.p,
        initializer=flags.initializer,
        last_normalization=flags.last_normalization,
        seed=1000 * flags.seed,
    )


def convolutional(
    width, shape, convolution, dense, last_normalization, classes=10
):
    """Three strided convolutions and a classifier of their averages."""
    image = keras.Input(shape, name="image")
    x = image
    for filters in (width, 2 * width, 4 * width):
        x = convolution(filters, 3, strides=2, padding="same")(x)
        x = normalization()(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = dense(classes, name="logits")(x)
    if last_normalization:
        x = normalization()(x)
    return keras.Model(image, x, name="convolutional")


def normalization():
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


def pruned(model, flags, steps):
    """TF-MOT's magnitude pruning, which is done after two thirds of `steps`."""
    import tensorflow_model_optimization as tfmot

    every = max(1, steps // 30)
    # The last step that prunes must be one of those.
    end = every * max(1, 2 * steps // 3 // every)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        0.0, 1 - flags.density, 0, end, frequency=every
    )
    return compression.prune(model, schedule)


def train(flags, x, y):
    """Returns the trained network in stock Keras layers."""
    steps = flags.epochs * -(-len(x) // flags.batch_size)
    model = tfr.RobustModel(network(flags, x.shape[1:], steps))
    model.compile(optimizer(flags, steps), objective=objective(flags))
    step, callbacks = model.optimizer.iterations, []
    if flags.method == "subnetwork":
        callbacks.append(
            tfr.callbacks.GradualDensity(flags.density, flags.stages, flags.p)
        )
    if flags.method == "tfmot":
        import tensorflow_model_optimization as tfmot

        callbacks.append(tfmot.sparsity.keras.UpdatePruningStep())
    model.fit(
        datasets.batches(x, y, flags.batch_size, flags.seed, step),
        epochs=flags.epochs,
        shuffle=False,
        verbose=2,
        callbacks=callbacks,
    )
    if flags.method == "dense":
        return model.network
    change = compression.strip if flags.method == "tfmot" else compression.plain
    return change(model)


def optimizer(flags, steps):
    """Cosine decay, which restarts with each stage."""
    subnetwork = flags.method == "subnetwork"
    rate = flags.learning_rate or (0.1 if subnetwork else 2e-3)
    decay = keras.optimizers.schedules.CosineDecayRestarts(
        rate, -(-steps // flags.stages), t_mul=1.0
    )
    if subnetwork:
        return keras.optimizers.SGD(decay, momentum=0.9)
    return keras.optimizers.Adam(decay)


def objective(flags):
    attack = tfr.attacks.PGD(
        tfr.threats.Linf(flags.epsilon), flags.steps, seed=flags.seed
    )
    return {
        "clean": tfr.objectives.Clean(),
        "pgd": tfr.objectives.WorstCase(attack),
        "trades": tfr.objectives.TRADES(attack),
        "mart": tfr.objectives.MART(attack),
    }[flags.objective]
