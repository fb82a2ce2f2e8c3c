"""How fast runs of adversarial_training.py fit, and how well they generalise.

Usage:
    python examples/convergence.py --flags=dataset,epsilon,seed \
        --table=runs/convergence.csv runs/epsilon_0.1 runs/epsilon_0.2
    python examples/summarize.py --table=runs/convergence.csv \
        --by=dataset,epsilon --columns=epochs_to_fit,train,validation,gap

Appends a row for each folder to `--table`, after the flags of the run named by
`--flags`: epochs until the training loss has fallen `--share` of the way from
the logarithm of the classes, that of a network which knows nothing, to its last
value; robust accuracy in training and on the validation images at the end; the
difference of both; how far the validation accuracy lies below its best epoch;
and whether the end is a constant classifier, which no attack can hurt.
"""

import csv
import math
import pathlib

import numpy as np
from absl import app, flags

import runs

FLAGS = flags.FLAGS
flags.DEFINE_list("flags", ["dataset", "epsilon", "seed"], "Flags to copy.")
flags.DEFINE_float("share", 0.9, "Share of the way down.", 0, 1)
flags.DEFINE_integer("classes", 10, "Number of classes.", 2)
flags.DEFINE_string("table", None, "CSV file to append to.", required=True)


def flags_of(folder):
    """The flags of a run, by name, as written."""
    lines = (folder / "flags.txt").read_text().splitlines()
    return dict(line[2:].split("=", 1) for line in lines if "=" in line)


def history_of(folder):
    """The columns of a run's history."""
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(r[name]) for r in rows]) for name in rows[0]}


def epochs_to_fit(loss):
    """Epochs until the mean loss of an epoch is low enough, interpolated."""
    start = math.log(FLAGS.classes)
    losses = np.concatenate([[start], loss])
    target = start + FLAGS.share * (loss[-1] - start)
    if loss[-1] >= start:
        return math.nan
    after = int(np.argmax(losses <= target))
    before = losses[after - 1]
    return after - 1 + (before - target) / (before - losses[after])


def row_of(history):
    """What the history says of a run."""
    attacked = [
        name
        for name in history
        if name.startswith("pgd") and name.endswith("_accuracy")
    ]
    train = history[(attacked or ["accuracy"])[0]]
    validation = history["val_pgd_accuracy"]
    clean = history["val_accuracy"][-1]
    constant = clean == validation[-1] and clean < 2 / FLAGS.classes
    return {
        "epochs_to_fit": epochs_to_fit(history["loss"]),
        "loss": history["loss"][-1],
        "clean": clean,
        "train": train[-1],
        "validation": validation[-1],
        "gap": train[-1] - validation[-1],
        "best_minus_last": validation.max() - validation[-1],
        "constant": int(constant),
    }


def main(argv):
    folders = [pathlib.Path(folder) for folder in argv[1:]]
    if not folders:
        raise app.UsageError("Name at least one folder of a run.")
    rows = []
    for folder in folders:
        if not (folder / "history.csv").exists():
            raise app.UsageError(f"{folder} holds no run: no history.csv.")
        own = flags_of(folder)
        missing = [name for name in FLAGS.flags if name not in own]
        if missing:
            raise app.UsageError(f"{folder} was run without --{missing[0]}.")
        copied = {name: own[name] for name in FLAGS.flags}
        found = row_of(history_of(folder))
        print(folder, *(f"{name}={value:.4g}" for name, value in found.items()))
        rows.append(copied | found)
    runs.append(pathlib.Path(FLAGS.table), rows)


if __name__ == "__main__":
    app.run(main)
