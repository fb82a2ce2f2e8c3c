"""Fast adversarial training: what a method reaches, and what it costs.

Usage:
    python examples/fast_training.py --method=nfgsm
    python examples/fast_training.py --method=atas --dataset=cifar10 --augment \
        --network=preact_resnet18 --width=4 --epsilon=0.0314 --epochs=30

Prints one row: accuracy clean, under FGSM, PGD of 50 steps and, on a part,
AutoAttack; the seconds of training, compilation included; the forward and
backward passes of each example in a step; and of methods of one step the cosine
of the gradients before and after it, in the last epoch. FGSM far above PGD is
catastrophic overfitting. `--table` is a CSV file that gets the row.
"""

import functools
import pathlib
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import datasets
import networks
import runs
import tfrobust as tfr
from fast_methods import METHODS, Counted
from tfrobust.backend import keras
from tfrobust.threats.norms import NORMS

FLAGS = flags.FLAGS
flags.DEFINE_enum("method", "nfgsm", list(METHODS), "Training method.")
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("network", "digits_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "The network's width; else its default.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.15, "Radius, for pixels in [0, 1].")
flags.DEFINE_float("ramp", 0.0, "Share of training that it grows in.", 0, 1)
flags.DEFINE_integer("epochs", 20, "Epochs.", lower_bound=1)
flags.DEFINE_integer(
    "visits", 1, "Of the epochs, those a batch has in a row.", 1
)
flags.DEFINE_integer("batch_size", 128, "Batch size.", lower_bound=1)
flags.DEFINE_enum("optimizer", "sgd", list(runs.OPTIMIZERS), "Optimizer.")
flags.DEFINE_float("learning_rate", 0.1, "Its peak, at 2/5 of the steps.")
flags.DEFINE_bool("augment", False, "Random crops and flips.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.", 1)
flags.DEFINE_integer("test_examples", None, "Evaluate only the first ones.", 1)
flags.DEFINE_bool("validate", False, "Test the last tenth of what would train.")
flags.DEFINE_integer("aa_examples", 100, "AutoAttack the first; 0: none.", 0)
flags.DEFINE_integer("seed", 0, "Seed of weights and data order.")
flags.DEFINE_string("table", None, "CSV file to append the row to.")


def crop():
    """How images are moved, or None."""
    return tfr.instances.CropFlip(seed=FLAGS.seed) if FLAGS.augment else None


def batches(x, y, step, indexed):
    """Training batches, which tell of their instances if `indexed`."""
    make = functools.partial(
        datasets.batches, batch_size=FLAGS.batch_size, seed=FLAGS.seed
    )
    if not indexed:
        return make(x, y, step=step, augment=crop())
    images = tf.constant(x)
    return make(np.arange(len(x)), y, step=step).map(
        lambda i, y: (tfr.instances.Indexed(tf.gather(images, i), i), y)
    )


def train(network, threat, x, y):
    """Trains the network, and returns by name what it took and logged."""
    steps = FLAGS.epochs * -(-len(x) // FLAGS.batch_size)
    if FLAGS.ramp:
        end = max(1, int(FLAGS.ramp * steps))
        grown = tfr.schedules.Ramp(0.0, FLAGS.epsilon, end=end)
        threat = threat.replace(epsilon=grown)
    objective = METHODS[FLAGS.method](threat, augmentation=crop(), steps=steps)
    counted, peak = Counted(), max(1, 2 * steps // 5)
    model = tfr.RobustModel(keras.Sequential([network, counted]))
    rate = tfr.schedules.PiecewiseLinear(
        [0, peak, max(steps, peak + 1)], [0.0, FLAGS.learning_rate, 0.0]
    )
    model.compile(
        runs.OPTIMIZERS[FLAGS.optimizer](rate),
        objective=objective,
        metrics=[],  # Those of clean images would take a pass of their own.
        instances=len(x),
    )
    data = batches(x, y, model.optimizer.iterations, objective.remembers())
    data = tfr.instances.replayed(data, FLAGS.visits)
    epochs, begun = FLAGS.epochs // FLAGS.visits, time.perf_counter()
    logs = model.fit(data, epochs=epochs, shuffle=False, verbose=2)
    seconds = time.perf_counter() - begun
    passes = np.array(counted.counter.passes()) / (FLAGS.epochs * len(x))
    return {
        "seconds": seconds,
        "forward": passes[0],
        "backward": passes[1],
        "pert_align": logs.history.get("pert_align", [np.nan])[-1],
    }


def accuracies(network, threat, x, y):
    """Accuracy clean and under attack, by name."""
    fgsm, pgd = tfr.attacks.FGSM(threat), tfr.attacks.PGD(threat, 50, 0.1)
    weak = {"fgsm": fgsm, "pgd50": pgd}
    report = tfr.evaluate(network, (x, y), weak, diagnostic_examples=0)
    found = {name: report[name] for name in ("clean", *weak)}
    if FLAGS.aa_examples:
        part = x[: FLAGS.aa_examples], y[: FLAGS.aa_examples]
        strong = {"aa": tfr.attacks.AutoAttack(threat)}
        report = tfr.evaluate(network, part, strong, diagnostic_examples=0)
        found["aa"] = report["worst case"]
    accuracies = {name: row.accuracy for name, row in found.items()}
    return accuracies | {"aa": accuracies.get("aa", np.nan)}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.epochs % FLAGS.visits:
        raise app.UsageError(
            f"{FLAGS.epochs=} are no {FLAGS.visits=} in a row."
        )
    keras.utils.set_random_seed(FLAGS.seed)
    threat = NORMS[FLAGS.norm](FLAGS.epsilon)
    (x, y), (x_test, y_test) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    x, y = x[: FLAGS.train_examples], y[: FLAGS.train_examples]
    if FLAGS.validate:
        kept = len(x) - len(x) // 10
        (x, x_test), (y, y_test) = np.split(x, [kept]), np.split(y, [kept])
    network = networks.build(FLAGS.network, x.shape[1:], 10, FLAGS.width)
    taken = train(network, threat, x, y)
    test = x_test[: FLAGS.test_examples], y_test[: FLAGS.test_examples]
    row = accuracies(network, threat, *test) | taken
    print(f"{'method':>9}", *(f"{name:>10}" for name in row))
    print(f"{FLAGS.method:>9}", *(f"{value:10.4g}" for value in row.values()))
    if FLAGS.table:
        runs.append(pathlib.Path(FLAGS.table), [row])


if __name__ == "__main__":
    app.run(main)
