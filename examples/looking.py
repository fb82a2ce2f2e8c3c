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

# What a comparison lacks of values that aren't of examples.
EMPTY = dict.fromkeys(("low", "high", "pairs"), float("nan"))

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
flags.DEFINE_string("compare", None, "Folder of a page of another model.")
flags.DEFINE_string("table", None, "CSV file to append the comparison to.")


def run(sections):
    """Runs a program that writes a page of some of a report's sections."""
    app.run(functools.partial(main, sections))


def main(sections, argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.table and not FLAGS.compare:
        raise app.UsageError("--table is for what --compare finds.")
    models.check("model", FLAGS.model)
    if FLAGS.model and not FLAGS.model.endswith(".keras"):
        raise app.UsageError(f"--model must be a .keras file: {FLAGS.model}")
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
    )
    for values in found.values():
        for name, value in values.items():
            print(f"{name:40} {value['mean']:10.4g}")
    if FLAGS.compare:
        compare()
    print(f"The page is {pathlib.Path(FLAGS.output_dir) / 'index.html'}")


def compare():
    """Prints in what the two models differ, and by how much."""
    found = tfr.analysis.compare(FLAGS.output_dir, FLAGS.compare)
    print(f"\n{'difference':40} {'mean':>10} {'low':>10} {'high':>10}")
    rows = []
    for section, values in found.items():
        for name, value in values.items():
            rows.append({"section": section, "value": name, **EMPTY, **value})
            shown = (rows[-1][key] for key in ("difference", "low", "high"))
            print(f"{name:40}", *(f"{number:10.4g}" for number in shown))
    if FLAGS.table:
        runs.append(pathlib.Path(FLAGS.table), rows)
