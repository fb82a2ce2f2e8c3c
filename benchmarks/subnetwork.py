"""What a subnetwork's PGD training step costs next to the dense network's.

Both take single training steps in turns, in the same process and on the same
batch, so that other work on the machine hits both alike; the ratio of their
smallest times counts. The subnetwork works its masks out once a step, before
the attack. Aim: at most 1.25 times the dense step.

Usage, from the root of the repository:
    python -m benchmarks.subnetwork --network=small_cnn --rounds=60
"""

import os
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfrobust as tfr
from examples import datasets, networks

flags.DEFINE_enum("network", "small_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "Its width; None for the default.")
flags.DEFINE_enum("dataset", "mnist", list(datasets.SHAPES), "Its shape.")
flags.DEFINE_float("density", 0.01, "Share of the weights that is kept.")
flags.DEFINE_integer("batch_size", 128, "Images in a batch.", 1)
flags.DEFINE_integer("steps", 10, "Steps of PGD.", 1)
flags.DEFINE_integer("rounds", 60, "Steps of each network.", 1)
flags.DEFINE_integer("threads", 2, "Threads of TensorFlow.", 1)
FLAGS = flags.FLAGS


def main(_):
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    keras.utils.set_random_seed(0)
    shape = datasets.SHAPES[FLAGS.dataset]
    random = np.random.default_rng(0)
    x = random.random((FLAGS.batch_size, *shape), np.float32)
    y = random.integers(0, 10, FLAGS.batch_size)
    print(f"tensorflow {tf.__version__}, keras {keras.__version__}")
    print(f"load before the start {os.getloadavg()[0]:.2f}")
    dense = networks.build(FLAGS.network, shape, 10, width=FLAGS.width)
    models = {
        "dense": compiled(dense),
        "subnetwork": compiled(
            tfr.compression.subnetwork(dense, FLAGS.density)
        ),
    }
    times = {name: [] for name in models}
    for _ in range(3 + FLAGS.rounds):
        for name, model in models.items():
            begin = time.perf_counter(), time.process_time()
            model.train_on_batch(x, y)
            end = time.perf_counter(), time.process_time()
            times[name].append(np.subtract(end, begin))
    # The first steps trace and warm up.
    print_table({name: np.array(rows[3:]) for name, rows in times.items()})


def compiled(network):
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=FLAGS.steps)
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        objective=tfr.objectives.WorstCase(attack),
    )
    return model


def print_table(times):
    width = FLAGS.width or "default"
    print(
        f"\n{FLAGS.network}, width {width}, PGD-{FLAGS.steps}, batch "
        f"{FLAGS.batch_size}, {FLAGS.threads} threads, ms a step\n\n"
        "| network | wall, min | median | CPU, min | median |\n"
        "|---|---|---|---|---|"
    )
    for name, rows in times.items():
        print(f"| {name} | {' | '.join(cells(1e3 * figures(rows), 1))} |")
    ratio = figures(times["subnetwork"]) / figures(times["dense"])
    print(f"| ratio | {' | '.join(cells(ratio, 2))} |")


def figures(rows):
    """Minimum and median of the wall time, then of the CPU time."""
    return np.stack([np.min(rows, axis=0), np.median(rows, axis=0)]).T.ravel()


def cells(values, digits):
    return [f"{value:.{digits}f}" for value in values]


if __name__ == "__main__":
    app.run(main)
