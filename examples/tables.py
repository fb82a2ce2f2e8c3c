"""Tables of runs that examples append to, read back: --table and --where.

Usage:
    rows = tables.read()
    for name, runs in tables.grouped(rows, ["epsilon"]).items():
        print(name, tables.numbers(runs, ["mean"]).mean(axis=0))
"""

import csv
import pathlib

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("table", None, "CSV file.", required=True)
flags.DEFINE_multi_string("where", [], "Rows to take, as column=value.")


def read():
    """The rows of the table that --where takes.

    Several values of one column are alternatives.

    Raises:
        app.UsageError: If a --where isn't column=value, there is no such
            column, or no such row.
    """
    wanted = {}
    for text in FLAGS.where:
        name, equals, value = text.partition("=")
        if not equals:
            raise app.UsageError(f"--where={text} must be column=value.")
        wanted.setdefault(name, set()).add(value)
    with pathlib.Path(FLAGS.table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [
        row
        for row in rows
        if all(of(row, [k])[0] in values for k, values in wanted.items())
    ]
    if not kept:
        asked = " and ".join(FLAGS.where)
        raise app.UsageError(f"{FLAGS.table} has no row where {asked}.")
    return kept


def of(row, names):
    """The values of a row under these names, as written.

    Raises:
        app.UsageError: If there is no such column.
    """
    missing = [name for name in names if name not in row]
    if missing:
        raise app.UsageError(
            f"The table has no column {missing[0]!r}. There are: "
            f"{', '.join(row)}"
        )
    return tuple(row[name] for name in names)


def grouped(rows, by):
    """Rows by their values under these names, in the order of the table."""
    groups = {}
    for row in rows:
        groups.setdefault(of(row, by), []).append(row)
    return groups


def numbers(rows, names):
    """The numbers of rows, `[rows, names]`; NaN where there is none."""
    found = [[value or "nan" for value in of(row, names)] for row in rows]
    return np.array(found, float)
