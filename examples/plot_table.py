"""Plots a table that other examples append to: means over seeds, and the seeds.

Usage:
    python examples/plot_table.py --table=runs/landscape.csv --x=epsilon \
        --y=mean --by=dataset --where="value=eigenvalue 1" \
        --ylabel="largest eigenvalue" --output=eigenvalues.svg

Each value of `--by` has a line through the means of its runs at each `--x`, and
a mark for each run.
"""

import numpy as np
from absl import app, flags
from matplotlib import pyplot as plt

import tables

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(tables)
flags.DEFINE_string("x", None, "Column of the horizontal axis.", required=True)
flags.DEFINE_string("y", None, "Column of the vertical axis.", required=True)
flags.DEFINE_list("by", [], "Columns that tell lines apart.")
flags.DEFINE_string("xlabel", None, "Name of that axis; else the column's.")
flags.DEFINE_string("ylabel", None, "Name of that axis; else the column's.")
flags.DEFINE_enum("xscale", "linear", ["linear", "log"], "Scale of the axis.")
flags.DEFINE_enum("yscale", "linear", ["linear", "log"], "Scale of the axis.")
flags.DEFINE_string("output", None, "Image to write.", required=True)


def draw(panel, rows, label):
    """Draws a line of means, and a mark for each run."""
    x, y = tables.numbers(rows, [FLAGS.x, FLAGS.y]).T
    places = np.unique(x)
    means = [np.nanmean(y[x == place]) for place in places]
    (line,) = panel.plot(places, means, label=label)
    panel.plot(x, y, "o", color=line.get_color(), alpha=0.5, markersize=4)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    rows = tables.read()
    figure, panel = plt.subplots(figsize=(5, 3.2))
    for names, runs in tables.grouped(rows, FLAGS.by).items():
        draw(panel, runs, ", ".join(names))
    panel.set(
        xlabel=FLAGS.xlabel or FLAGS.x,
        ylabel=FLAGS.ylabel or FLAGS.y,
        xscale=FLAGS.xscale,
        yscale=FLAGS.yscale,
    )
    panel.grid(alpha=0.3)
    if FLAGS.by:
        panel.legend()
    figure.tight_layout()
    figure.savefig(FLAGS.output)


if __name__ == "__main__":
    app.run(main)
