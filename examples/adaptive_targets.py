"""Adaptive use of instances against robust overfitting.

Usage:
    python examples/adaptive_targets.py
    python examples/adaptive_targets.py --dataset=cifar10 --augment \
        --network=preact_resnet18 --width=4 --epsilon=0.0314 --epochs=38

Trains with ATTA three times: plainly, with targets that follow the model's own
predictions, and with examples weighted by how sure the model is of them. Prints
the accuracy under PGD of each on the validation images, at its best epoch and
at its last: the gap is robust overfitting. `--table` appends the rows to a CSV
file. The validation images are the last tenth of the training data.
"""

import pathlib

import numpy as np
from absl import app, flags

import datasets
import networks
import runs
import tfrobust as tfr
from tfrobust.backend import keras

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("network", "digits_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "The network's width; else its default.")
flags.DEFINE_float("epsilon", 0.15, "Radius of linf, for pixels in [0, 1].")
flags.DEFINE_integer("epochs", 30, "Epochs of each training.", 2)
flags.DEFINE_integer("warmup", 5, "Epochs without adaptation.", 0)
flags.DEFINE_enum("optimizer", "sgd", list(runs.OPTIMIZERS), "Optimizer.")
flags.DEFINE_float("learning_rate", 0.05, "Its rate, a tenth from 4/5 on.")
flags.DEFINE_bool("augment", False, "Random crops and flips.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.", 1)
flags.DEFINE_integer("seed", 0, "Seed of weights and data order.")
flags.DEFINE_string("table", None, "CSV file to append the rows to.")


def objectives(threat):
    """The objectives to compare, by name."""
    crop = tfr.instances.CropFlip(4) if FLAGS.augment else None

    def atta():
        return tfr.objectives.ATTA(threat, crop, reset=None)

    return {
        "plain": atta(),
        "adaptive": tfr.objectives.SelfAdaptive(
            atta(), share=0.1, warmup=FLAGS.warmup, weighted=False
        ),
        "reweighted": tfr.objectives.Reweighted(
            atta(), "clean", warmup=FLAGS.warmup
        ),
    }


def train(objective, threat, data, held):
    """Trains a new network and returns its history."""
    keras.utils.set_random_seed(FLAGS.seed)
    x, y = data
    network = networks.build(FLAGS.network, x.shape[1:], 10, FLAGS.width)
    drop = FLAGS.epochs * 4 // 5 * -(-len(x) // 128)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [drop], [FLAGS.learning_rate, FLAGS.learning_rate / 10]
    )
    model = tfr.RobustModel(network)
    model.compile(
        runs.OPTIMIZERS[FLAGS.optimizer](rate),
        objective=objective,
        adversaries={"pgd": tfr.attacks.PGD(threat, steps=20)},
    )
    return model.fit(
        tfr.instances.Indexed(x, np.arange(len(x))),
        y,
        batch_size=128,
        epochs=FLAGS.epochs,
        validation_data=held,
        callbacks=[tfr.callbacks.RobustOverfitting("val_pgd_accuracy")],
        verbose=2,
    ).history


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    threat = tfr.threats.Linf(FLAGS.epsilon)
    (x, y), _ = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    x, y = x[: FLAGS.train_examples], y[: FLAGS.train_examples]
    held = len(x) // 10
    rows = []
    for name, objective in objectives(threat).items():
        history = train(
            objective, threat, (x[:-held], y[:-held]), (x[-held:], y[-held:])
        )
        robust = history["val_pgd_accuracy"]
        best = int(np.argmax(robust))
        rows.append(
            {
                "targets": name,
                "clean": history["val_accuracy"][best],
                "best": robust[best],
                "epoch": best,
                "last": robust[-1],
                "gap": robust[best] - robust[-1],
            }
        )
    print(*(f"{name:>10}" for name in rows[0]))
    for row in rows:
        print(
            f"{row['targets']:>10}",
            *(f"{v:10.4g}" for v in [*row.values()][1:]),
        )
    if FLAGS.table:
        runs.append(pathlib.Path(FLAGS.table), rows)


if __name__ == "__main__":
    app.run(main)
