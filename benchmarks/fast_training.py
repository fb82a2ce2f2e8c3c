"""The step of every fast training method against a plain step and PGD-10.

Every method trains the small CNN on MNIST by `fit`, in turns with Keras's own
training of the same network. Then what the memory of 60,000 instances takes of
a step, reading and writing the rows of a batch alone, and how often each
training step was traced.

Usage, from the root of the repository:
    python -m benchmarks.fast_training --data_dir=data --rounds=5
"""

import os
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfrobust as tfr
from benchmarks.counted import Counted
from examples import datasets, networks
from examples.fast_methods import METHODS

flags.DEFINE_string("data_dir", None, "Folder of mnist.npz; None downloads.")
flags.DEFINE_integer("batches", 20, "Batches of one fit.", 1)
flags.DEFINE_integer("batch_size", 128, "Images in a batch.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds; in each every row has a turn.", 1)
flags.DEFINE_integer("threads", 2, "Threads of TensorFlow.", 1)
flags.DEFINE_list("methods", None, "Methods to measure; all if not given.")
FLAGS = flags.FLAGS

INSTANCES = 60000
SLOTS = {"perturbation": tfr.instances.Slot((28, 28, 1), unit=True)}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    x, y = begun()
    names = FLAGS.methods or [n for n in METHODS if n != "fast_egl1"]
    models = {name: robust(name) for name in names}
    rows = {"plain": fitting(plain(), x, y)}
    rows |= {name: fitting(model, x, y) for name, model in models.items()}
    rows["memory"] = remembering()
    seconds = in_turns(rows)
    show(seconds)
    traces = {name: model.traces for name, model in models.items()}
    extra = {name: n - 1 for name, n in traces.items() if n > 1}
    print(f"\nextra traces of the training step: {extra or 0}")


def begun():
    """Prints what the figures depend on, and returns what is trained on."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    keras.utils.set_random_seed(0)
    (x, y), _ = datasets.load("mnist", FLAGS.data_dir)
    count = FLAGS.batches * FLAGS.batch_size
    x, y = x[:count], y[:count]
    load = os.getloadavg()[0]
    print(f"tensorflow {tf.__version__}, keras {keras.__version__}")
    print(f"load before the start {load:.2f}: the figures need an idle machine")
    return x, y


def robust(name):
    """A model compiled for a method, with no metrics."""
    model = Counted(networks.small_cnn())
    objective = METHODS[name](
        tfr.threats.Linf(0.3), augmentation=None, steps=1000
    )
    model.compile("sgd", objective=objective, metrics=[], instances=INSTANCES)
    return model


def plain():
    """The same network, compiled by Keras alone."""
    network = networks.small_cnn()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("sgd", loss)
    return network


def fitting(model, x, y):
    """A function that trains for one epoch."""
    inputs = x
    if isinstance(model, tfr.RobustModel):
        inputs = tfr.instances.Indexed(x, np.arange(len(x)))
    data = tf.data.Dataset.from_tensor_slices((inputs, y))
    data = data.batch(FLAGS.batch_size, drop_remainder=True).cache()
    return lambda: model.fit(data, verbose=0)


def remembering():
    """A function that reads and writes the rows of as many batches."""
    memory = tfr.instances.Memory()
    memory.make(INSTANCES, SLOTS)
    order = np.random.default_rng(0).permutation(INSTANCES)

    @tf.function(autograph=False)
    def step(index):
        index = memory.checked(index)
        rows = memory.read(index)
        memory.write(index, {"perturbation": 0.5 * rows["perturbation"]})

    def steps():
        for number in range(FLAGS.batches):
            begin = number * FLAGS.batch_size % INSTANCES
            step(tf.constant(order[begin : begin + FLAGS.batch_size]))

    return steps


def in_turns(rows):
    """Milliseconds of a step in every round, after one of warming up."""
    found = {name: [] for name in rows}
    for number in range(1 + FLAGS.rounds):
        for name, row in rows.items():
            begin = time.perf_counter()
            row()
            if number:
                passed = time.perf_counter() - begin
                found[name].append(1e3 * passed / FLAGS.batches)
        print(f"round {number}", file=sys.stderr)
    return {name: np.array(times) for name, times in found.items()}


def show(times):
    """Prints a row for each method, by minimum and median."""
    least, middle = times["plain"].min(), np.median(times["plain"])
    print(
        f"\nsmall CNN, batch {FLAGS.batch_size}, {FLAGS.threads} threads\n\n"
        "| row | ms, min | median | plain steps, min | median |\n"
        "|---|---|---|---|---|"
    )
    for name, row in times.items():
        low, mid = row.min(), np.median(row)
        print(
            f"| {name} | {low:.2f} | {mid:.2f} | {low / least:.2f} "
            f"| {mid / middle:.2f} |"
        )
    for name in ("atta", "pgd10"):
        if name in times and "memory" in times:
            share = times["memory"].min() / times[name].min()
            print(f"\nmemory alone, of a step of {name}: {share:.1%}")


if __name__ == "__main__":
    app.run(main)
