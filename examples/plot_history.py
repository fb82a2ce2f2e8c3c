"""Plots the training histories of one or more runs, one line a run.

Usage:
    python examples/plot_history.py --metric=val_pgd_accuracy \
        --output=curves.svg runs/constant runs/linear
"""

import pathlib

import numpy as np
from absl import app, flags
from matplotlib import pyplot as plt

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("metric", ["val_pgd_accuracy"], "Columns to plot.")
flags.DEFINE_string("output", None, "Image to write.", required=True)


def main(argv):
    folders = [pathlib.Path(folder) for folder in argv[1:]]
    if not folders:
        raise app.UsageError("Name at least one folder of a run.")
    figure, panels = plt.subplots(
        1,
        len(FLAGS.metric),
        squeeze=False,
        figsize=(5 * len(FLAGS.metric), 3.2),
    )
    for metric, panel in zip(FLAGS.metric, panels[0], strict=True):
        for folder in folders:
            history = np.genfromtxt(
                folder / "history.csv", delimiter=",", names=True
            )
            history = np.atleast_1d(history)
            panel.plot(history["epoch"] + 1, history[metric], label=folder.name)
        panel.set(xlabel="epoch", ylabel=metric)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(FLAGS.output)


if __name__ == "__main__":
    app.run(main)
