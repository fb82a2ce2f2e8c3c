"""What landscape.py and interpret.py share: their flags, and the page.

Usage:
    looking.run(["smoothness", "curvature"])
"""

import functools
import pathlib

from absl import app, flags

import datasets
import models
import runs
import tfrobust as tfr
from tfrobust.threats.norms import NORMS, threat_of

# What rows of a table lack of values that aren't of examples.
FOUND = dict.fromkeys(("low", "high", "median", "examples"), float("nan"))
COMPARED = dict.fromkeys(("low", "high", "pairs"), float("nan"))

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A .keras file.")
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Its test set.")
flags.DEFINE_string("data_dir", None, "Folder of its files; None downloads.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.05, "Radius, in units of pixels in [0, 1].")
flags.DEFINE_integer("limit", 256, "How many examples.", 1)
flags.DEFINE_integer("few", 128, "How many of them to differentiate twice.", 1)
flags.DEFINE_integer("seed", 0, "Seed of all that is random.")
flags.DEFINE_string("output_dir", None, "Folder of the page.", required=True)
flags.DEFINE_string("judge", None, "An independent .keras file.")
flags.DEFINE_string("compare", None, "Folder of a page of another model.")
flags.DEFINE_string("table", None, "CSV file to append the results to.")


def run(sections):
    """Runs a program that writes a page of some of a report's sections."""
    app.run(functools.partial(main, sections))


def main(sections, argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    for flag in ("model", "judge"):
        path = FLAGS[flag].value
        models.check(flag, path)
        if path and not path.endswith(".keras"):
            raise app.UsageError(f"--{flag} must be a .keras file: {path}")
    threat = threat_of(FLAGS.epsilon, FLAGS.norm)
    train, (x, y) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    found = tfr.analysis.report(
        models.load_or_train(FLAGS.model, train, threat),
        (x, y),
        threat,
        FLAGS.output_dir,
        sections=sections,
        examples=FLAGS.limit,
        few=FLAGS.few,
        seed=FLAGS.seed,
        judge=models.load(FLAGS.judge) if FLAGS.judge else None,
    )
    show(found, FOUND, ["mean", "low", "high"])
    if FLAGS.compare:
        found = tfr.analysis.compare(FLAGS.output_dir, FLAGS.compare)
        print()
        show(found, COMPARED, ["difference", "low", "high"])
    if FLAGS.table:
        empty = COMPARED if FLAGS.compare else FOUND
        runs.append(pathlib.Path(FLAGS.table), rows_of(found, empty))
    print(f"The page is {pathlib.Path(FLAGS.output_dir) / 'index.html'}")


def rows_of(found, empty):
    """A row of each value of each section."""
    return [
        {"section": section, "value": name, **empty, **value}
        for section, values in found.items()
        for name, value in values.items()
    ]


def show(found, empty, columns):
    """Prints these columns of what was found."""
    print(f"{'':40}", *(f"{column:>10}" for column in columns))
    for row in rows_of(found, empty):
        numbers = (f"{row[column]:10.4g}" for column in columns)
        print(f"{row['value']:40}", *numbers)
