"""The adversarial training step against its limit, and its traces.

No PGD-10 step can be faster than ten gradients by the input and one ordinary
training step. Both parts of that limit are measured next to it, in turns:
`fit` of a `RobustModel`, ten gradients for each batch in one graph, and `fit`
of the bare Keras model. Then the traces of the training step are counted, with
a constant epsilon and with one that moves.

Usage, from the root of the repository:
    python -m benchmarks.training --data_dir=data --rounds=5
"""

import os
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfrobust as tfr
from benchmarks.counted import Counted
from examples import datasets, networks

flags.DEFINE_string("data_dir", None, "Folder of mnist.npz; None downloads.")
flags.DEFINE_integer("batches", 20, "Batches of one fit.", 1)
flags.DEFINE_integer("batch_size", 128, "Images in a batch.", 1)
flags.DEFINE_integer("steps", 10, "Steps of PGD.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds; in each every row has a turn.", 1)
flags.DEFINE_integer("threads", 2, "Threads of TensorFlow.", 1)
FLAGS = flags.FLAGS


def main(_):
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    keras.utils.set_random_seed(0)
    (x, y), _ = datasets.load("mnist", FLAGS.data_dir)
    count = FLAGS.batches * FLAGS.batch_size
    data = tf.data.Dataset.from_tensor_slices((x[:count], y[:count]))
    data = data.batch(FLAGS.batch_size, drop_remainder=True).cache()
    print(f"tensorflow {tf.__version__}, keras {keras.__version__}")
    load = os.getloadavg()[0]
    print(f"load before the start {load:.2f}: the figures need an idle machine")
    _print_times(_times(data))
    _print_traces(data)


def robust(epsilon, model_class=tfr.RobustModel, **options):
    """A compiled model that trains against PGD."""
    attack = tfr.attacks.PGD(
        tfr.threats.Linf(epsilon), steps=FLAGS.steps, **options
    )
    model = model_class(networks.small_cnn())
    model.compile("adam", objective=tfr.objectives.WorstCase(attack))
    return model


def plain():
    """The same network, compiled by Keras alone."""
    network = networks.small_cnn()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss, metrics=["accuracy"])
    return network


def gradient_passes():
    """A function that takes `steps` gradients by the input, and no more."""
    network = networks.small_cnn()

    def climb(x, y):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            loss = tfr.losses.cross_entropy(y, network(x, training=False))
        # One addition, so that each gradient needs the one before.
        return x + tape.gradient(loss, x)

    @tf.function
    def passes(x, y):
        return tf.while_loop(
            lambda *_: True,
            lambda point: (climb(point, y),),
            (x,),
            maximum_iterations=FLAGS.steps,
        )

    return passes


def _times(data):
    """Seconds of every round, by row, after one round of warming up."""
    passes = gradient_passes()

    def all_passes():
        for x, y in data:
            passes(x, y)

    def fit(model):
        return lambda: model.fit(data, verbose=0)

    rows = {
        "RobustModel": fit(robust(0.3)),
        "RobustModel, best=False": fit(robust(0.3, best=False)),
        "gradient passes": all_passes,
        "Keras model": fit(plain()),
    }
    seconds = {name: [] for name in rows}
    for _ in range(1 + FLAGS.rounds):
        for name, row in rows.items():
            begin = time.perf_counter()
            row()
            seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(times[1:]) for name, times in seconds.items()}


def _print_times(seconds):
    print(
        f"\nPGD-{FLAGS.steps} training, batch {FLAGS.batch_size}, "
        f"{FLAGS.threads} threads, ms for a batch\n\n"
        "| row | min | median | of the limit, min | median |\n"
        "|---|---|---|---|---|"
    )
    parts = seconds["gradient passes"], seconds["Keras model"]
    # A minimum of sums would hide a part that was slow in a fast round.
    limit = [sum(f(part) for part in parts) for f in (np.min, np.median)]
    scale = 1e3 / FLAGS.batches
    for name, times in seconds.items():
        values = np.min(times), np.median(times)
        share = [
            value / most for value, most in zip(values, limit, strict=True)
        ]
        print(
            f"| {name} | {scale * values[0]:.1f} | {scale * values[1]:.1f} "
            f"| {share[0]:.2f} | {share[1]:.2f} |"
        )


def _print_traces(data):
    """Trains through the whole ramp, so that epsilon takes many values."""
    epochs = -(-120 // FLAGS.batches)
    ramp = tfr.schedules.Ramp(0.0, 0.3, begin=0, end=100)
    traces = {}
    for name, epsilon in {"constant": 0.3, "ramp": ramp}.items():
        model = robust(epsilon, Counted)
        model.fit(data, epochs=epochs, verbose=0)
        traces[name] = model.traces
    extra = traces["ramp"] - traces["constant"]
    print(
        f"\ntraces in {epochs * FLAGS.batches} steps: constant epsilon "
        f"{traces['constant']}, schedule {traces['ramp']}, extra {extra}"
    )


if __name__ == "__main__":
    app.run(main)
