"""What landscape.py and interpret.py share: their flags, and the page.

Usage:
    looking.look(["smoothness", "curvature"])
"""

import pathlib

from absl import app, flags

import datasets
import models
import tfrobust as tfr
from tfrobust.threats.norms import NORMS, threat_of

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


def look(sections):
    """Writes the page of some sections of `tfr.analysis.report`."""
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
    print(f"The page is {pathlib.Path(FLAGS.output_dir) / 'index.html'}")
