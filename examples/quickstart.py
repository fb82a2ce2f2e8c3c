"""Ordinary and adversarial training side by side, in a few minutes.

Trains two copies of a small network on scikit-learn's handwritten digits, which
need no download, attacks both, writes a report with pictures and exports the
robust one for TensorFlow Serving.

Usage:
    python examples/quickstart.py
    python examples/quickstart.py --epsilon=0.1 --epochs=20 --output_dir=mine
"""

import pathlib

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import datasets
import networks
import runs
import tfrobust as tfr
from tfrobust.backend import keras

DEFAULT = pathlib.Path("runs/quickstart")

FLAGS = flags.FLAGS
flags.DEFINE_float("epsilon", 0.15, "linf radius, for pixels in [0, 1].")
flags.DEFINE_integer("epochs", 25, "Epochs of each training.", lower_bound=1)
flags.DEFINE_integer("batch_size", 64, "Batch size.", lower_bound=1)
flags.DEFINE_integer("test_steps", 50, "Steps of the attacks on test images.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")
flags.DEFINE_string("output_dir", None, f"New folder; else {DEFAULT} or -<n>.")


def train(objective, threat, data):
    """Trains a fresh network under `objective`."""
    keras.utils.set_random_seed(FLAGS.seed)
    (x, y), validation = data
    model = tfr.RobustModel(networks.digits_cnn())
    model.compile(
        optimizer="adam",
        objective=objective,
        adversaries={"pgd": tfr.attacks.PGD(threat, steps=20)},
    )
    batches = datasets.batches(
        x, y, FLAGS.batch_size, FLAGS.seed, step=model.optimizer.iterations
    )
    model.fit(
        batches,
        epochs=FLAGS.epochs,
        validation_data=validation,
        validation_freq=5,
        shuffle=False,
        verbose=2,
    )
    return model


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    # Exporting would list every weight otherwise.
    logging.set_verbosity(logging.WARNING)
    folder = pathlib.Path(FLAGS.output_dir or runs.unused(DEFAULT))
    if folder.exists():
        raise app.UsageError(
            f"--output_dir={folder} exists. Name a new folder."
        )
    (x, y), test = datasets.load("digits")
    held = len(x) // 10
    data = (x[:-held], y[:-held]), (x[-held:], y[-held:])

    # Adversarial training: epsilon grows over the first third of the steps.
    threat = tfr.threats.Linf(FLAGS.epsilon)
    steps = FLAGS.epochs * -(-len(data[0][0]) // FLAGS.batch_size)
    ramp = tfr.schedules.Ramp(0.0, FLAGS.epsilon, end=max(1, steps // 3))
    worst_case = tfr.objectives.WorstCase(
        tfr.attacks.PGD(threat.replace(epsilon=ramp), seed=FLAGS.seed)
    )
    attacks = {
        "fgsm": tfr.attacks.FGSM(threat),
        "pgd": tfr.attacks.PGD(threat, steps=FLAGS.test_steps, step_size=0.1),
        "pgd_margin": tfr.attacks.PGD(
            threat,
            steps=FLAGS.test_steps,
            step_size=0.1,
            restarts=3,
            loss="margin",
        ),
    }
    reports = {}
    for name, objective in {
        "standard": None,
        "adversarial": worst_case,
    }.items():
        print(f"\n{name} training")
        model = train(objective, threat, data)
        report = tfr.evaluate(
            model, test, attacks, name=f"{name} training", dataset="digits"
        )
        report.save(folder / name)
        reports[name] = report
    card = {"data": test, "attack": attacks["pgd"], "report": report}
    served = tfr.export(model, folder / "served", **card)

    print(f"\nTest accuracy at linf epsilon {FLAGS.epsilon:g}")
    print(f"{'training':12}", *(f"{row.name:>12}" for row in report.rows))
    for name, report in reports.items():
        print(f"{name:12}", *(f"{row.accuracy:12.1%}" for row in report.rows))
        print(f"  {report.verdict}")
    loaded = tf.saved_model.load(str(served)).signatures["serving_default"]
    answer = loaded(image=tf.constant(test[0][:10]))
    print(f"\nThe exported model reads {test[1][:10]} as {answer['class']}")
    print(f"Reports: {folder}/*/report.html. Export: {served}")
    for report in reports.values():
        if np.any(report["worst case"].correct & ~report["clean"].correct):
            raise RuntimeError("An attack improved on the clean accuracy.")


if __name__ == "__main__":
    app.run(main)
