"""Means over seeds of a table that other examples append to, as Markdown.

Usage:
    python examples/summarize.py --table=runs/fast.csv --by=method \
        --columns=clean,pgd50,aa,seconds --where=dataset=mnist

Prints a row for each value of `--by`, in the order of the table: how many runs
there are, and of each column the mean of the runs that have it and, of several,
the largest distance of one from it. `--collapsed=weak,strong` adds the share of
runs whose accuracy under the strong attack is less than half of that under the
weak one: catastrophic overfitting. `--interval=low,high` adds of how many runs
the interval lies above 0, and of how many below.
"""

import numpy as np
from absl import app, flags

import tables

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(tables)
flags.DEFINE_list("by", None, "Columns that tell runs apart.", required=True)
flags.DEFINE_list("columns", None, "Columns to average.", required=True)
flags.DEFINE_list("collapsed", [], "Columns of a weak and a strong attack.")
flags.DEFINE_list("interval", [], "Columns of the ends of an interval.")


def shown(values):
    """The mean of what there is, and how far runs lie from it, if at all."""
    values = values[~np.isnan(values)]
    if not values.size:
        return ""
    away = np.max(np.abs(values - np.mean(values)))
    return f"{np.mean(values):.3g}" + (f" ± {away:.2g}" if away else "")


def cells_of(runs):
    """The cells of a row about these runs."""
    cells = [shown(column) for column in tables.numbers(runs, FLAGS.columns).T]
    if FLAGS.collapsed:
        weak, strong = tables.numbers(runs, FLAGS.collapsed).T
        cells.append(f"{np.sum(strong < weak / 2)} of {len(runs)}")
    if FLAGS.interval:
        low, high = tables.numbers(runs, FLAGS.interval).T
        above, below = np.sum(low > 0), np.sum(high < 0)
        cells += [f"{above} of {len(runs)}", f"{below} of {len(runs)}"]
    return cells


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if len(FLAGS.collapsed) not in (0, 2):
        raise app.UsageError("--collapsed names a weak and a strong attack.")
    if len(FLAGS.interval) not in (0, 2):
        raise app.UsageError("--interval names a lower and an upper end.")
    rows = tables.read()
    header = [*FLAGS.by, "runs", *FLAGS.columns]
    header += ["collapsed"] if FLAGS.collapsed else []
    header += ["above 0", "below 0"] if FLAGS.interval else []
    print("|", " | ".join(header), "|")
    print("|" + " --- |" * len(header))
    for name, runs in tables.grouped(rows, FLAGS.by).items():
        print("|", " | ".join([*name, str(len(runs)), *cells_of(runs)]), "|")


if __name__ == "__main__":
    app.run(main)
