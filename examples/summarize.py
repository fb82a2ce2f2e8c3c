"""Means over seeds of a table that other examples append to, as Markdown.

Usage:
    python examples/summarize.py --table=runs/fast.csv --by=method \
        --columns=clean,pgd50,aa,seconds
    python examples/summarize.py --table=runs/fast.csv --by=method \
        --columns=fgsm,pgd50 --collapsed=fgsm,pgd50

Prints a row for each value of `--by`, in the order of the table: how many runs
there are, and of each column the mean of the runs that have it and, of several,
the largest distance of one from it. `--collapsed=weak,strong` adds the share of
runs whose accuracy under the strong attack is less than half of that under the
weak one: catastrophic overfitting.
"""

import csv
import pathlib

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("table", None, "CSV file.", required=True)
flags.DEFINE_list("by", None, "Columns that tell runs apart.", required=True)
flags.DEFINE_list("columns", None, "Columns to average.", required=True)
flags.DEFINE_list("collapsed", [], "Columns of a weak and a strong attack.")


def columns_of(row, names):
    """The values of a row under these names, as written."""
    missing = [name for name in names if name not in row]
    if missing:
        raise app.UsageError(
            f"{FLAGS.table} has no column {missing[0]!r}. There are: "
            f"{', '.join(row)}"
        )
    return tuple(row[name] for name in names)


def shown(values):
    """The mean of what there is, and how far runs lie from it, if at all."""
    values = values[~np.isnan(values)]
    if not values.size:
        return ""
    away = np.max(np.abs(values - np.mean(values)))
    return f"{np.mean(values):.3g}" + (f" ± {away:.2g}" if away else "")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if len(FLAGS.collapsed) not in (0, 2):
        raise app.UsageError("--collapsed names a weak and a strong attack.")
    with pathlib.Path(FLAGS.table).open() as file:
        rows = list(csv.DictReader(file))
    groups = {}
    for row in rows:
        groups.setdefault(columns_of(row, FLAGS.by), []).append(row)
    header = [*FLAGS.by, "runs", *FLAGS.columns]
    header += ["collapsed"] if FLAGS.collapsed else []
    print("|", " | ".join(header), "|")
    print("|" + " --- |" * len(header))
    for name, runs in groups.items():
        table = [columns_of(run, FLAGS.columns) for run in runs]
        cells = [shown(column) for column in np.array(table, float).T]
        if FLAGS.collapsed:
            found = [columns_of(run, FLAGS.collapsed) for run in runs]
            weak, strong = np.array(found, float).T
            cells.append(f"{np.sum(strong < weak / 2)} of {len(runs)}")
        print("|", " | ".join([*name, str(len(runs)), *cells]), "|")


if __name__ == "__main__":
    app.run(main)
