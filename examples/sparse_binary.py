r"""Trains a small network of few bits against attacks, and shows what it takes.

    python examples/sparse_binary.py --method=subnetwork --density=0.01 \
        --dataset=mnist --model_dir=runs/subnetwork --export_dir=served
    python examples/sparse_binary.py --method=tfmot --density=0.1 \
        --dataset=mnist --model_dir=runs/pruned

`--model_dir` receives flags.txt; model.keras, the network in stock Keras
layers; sizes.json and pattern.svg, what is kept and what it takes to store it;
results.json, the accuracy and the bytes. What is evaluated and exported is the
network without its dead channels. flags.txt replays the run:
`--flagfile=runs/subnetwork/flags.txt --model_dir=runs/again`.
"""

import importlib
import json
import os
import pathlib

from absl import app, flags, logging

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "method",
    "subnetwork",
    ["dense", "subnetwork", "binary_connect", "tfmot"],
    "What becomes of the weights; tfmot prunes, in tf_keras.",
)
flags.DEFINE_string("model_dir", None, "New folder of the run.", required=True)
flags.DEFINE_string("export_dir", None, "Export a SavedModel there.")
flags.DEFINE_enum(
    "dataset", "digits", ["digits", "mnist", "fashion_mnist", "cifar10"], "Data"
)
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_integer("width", 32, "Filters of the first convolution.", 1)
flags.DEFINE_float("density", 0.1, "Share of the weights that is kept.")
flags.DEFINE_float("p", 0.1, "How they are shared out; 1: alike, 0: evenly.")
flags.DEFINE_enum(
    "initializer",
    "binary",
    ["binary", "signed_constant", "uniform"],
    "The fixed weights of a subnetwork.",
)
flags.DEFINE_bool("last_normalization", True, "Normalise the logits.")
flags.DEFINE_integer("stages", 1, "Stages of a subnetwork's density.", 1)
flags.DEFINE_enum(
    "objective", "pgd", ["clean", "pgd", "trades", "mart"], "Training."
)
flags.DEFINE_float("epsilon", 0.2, "linf radius; pixels are in [0, 1].")
flags.DEFINE_integer("steps", 5, "Steps of the training attack.", 1)
flags.DEFINE_integer("test_steps", 50, "Steps of the evaluation's PGD.", 1)
flags.DEFINE_float("learning_rate", None, "Else 0.1 for subnetworks, or 2e-3.")
flags.DEFINE_integer("epochs", 6, "Epochs.", 1)
flags.DEFINE_integer("batch_size", 64, "Batch size.", 1)
flags.DEFINE_integer("train_examples", None, "Use only the first ones.")
flags.DEFINE_integer("test_examples", None, "Use only the first ones.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.method == "tfmot":
        # TF-MOT works on tf_keras only.
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # tfrobust chooses its Keras when it is imported.
    names = "datasets", "runs", "sparse_training", "tfrobust"
    datasets, runs, training, tfr = map(importlib.import_module, names)
    logging.set_verbosity(logging.WARNING)
    (x, y), (x_test, y_test) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    x, y = x[: FLAGS.train_examples], y[: FLAGS.train_examples]
    test = x_test[: FLAGS.test_examples], y_test[: FLAGS.test_examples]
    training.keras.utils.set_random_seed(FLAGS.seed)
    folder = pathlib.Path(FLAGS.model_dir)
    runs.begin(folder, resume=False, free=())
    network = training.train(FLAGS, x, y)
    network.save(folder / "model.keras")
    sizes = tfr.compression.report(network)
    print(sizes)
    (folder / "sizes.json").write_text(json.dumps(sizes.to_dict(), indent=1))
    sizes.save_figure(folder / "pattern.svg")
    small = tfr.compression.compact(network)
    row = {
        **accuracies(tfr, small, *test),
        **figures(sizes),
        "compact": figures(tfr.compression.report(small)),
    }
    print(json.dumps(row, indent=1))
    (folder / "results.json").write_text(json.dumps(row, indent=1))
    if FLAGS.export_dir:
        print("Exported to", tfr.export(small, FLAGS.export_dir))


def figures(sizes):
    """Weights that are kept, all weights, and bytes on disk by scheme."""
    return {
        **{
            key: sum(layer[key] for layer in sizes.layers)
            for key in ("kept", "weights")
        },
        **{scheme: found["disk"] for scheme, found in sizes.storage.items()},
    }


def accuracies(tfr, network, x, y):
    """Clean, attacked and certified accuracy on the same images, by name."""
    linf = tfr.threats.Linf(FLAGS.epsilon)
    adversaries = {
        "pgd": tfr.attacks.PGD(linf, FLAGS.test_steps, 0.1, seed=FLAGS.seed),
        "ibp": tfr.verifiers.IBP(linf),
    }
    report = tfr.evaluate(
        network, (x, y), adversaries, diagnostic_examples=0, verbose=0
    )
    clean, attacked, certified, _ = (row.correct for row in report.rows)
    if (attacked & ~clean).any() or (certified & ~attacked).any():
        raise SystemExit("Certified <= attacked <= clean does not hold.")
    return {row.name: row.accuracy for row in report.rows[:-1]}


if __name__ == "__main__":
    app.run(main)
