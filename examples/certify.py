r"""Certifies a saved model, or the SavedModel that is served.

    python examples/certify.py --model=runs/mnist/best.keras --dataset=mnist \
        --epsilon=0.1 --limit=1000 --report=report

`--model` is a .keras file, a network of the zoo (`zoo:mnist_cnn_linf_0.1`) or
the folder of a SavedModel whose signature `serving_default` returns `logits`,
such as served/1. Without `--model` a small
network is first trained for a certificate on the bundled digits. A run that is
stopped goes on where it was, if it is given the same `--state`.
"""

import pathlib

import numpy as np
from absl import app, flags

import datasets
import models
import tfrobust as tfr
from tfrobust.commands.certify import chosen
from tfrobust.commands.choices import VERIFIERS
from tfrobust.threats.norms import NORMS, threat_of

flags.DEFINE_string("model", None, "A .keras file, zoo:NAME, or a SavedModel.")
flags.DEFINE_enum(
    "dataset",
    "digits",
    ["digits", "mnist", "fashion_mnist", "cifar10"],
    "Its test set is certified.",
)
flags.DEFINE_string("data_dir", None, "Folder of its files; None downloads.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.05, "Radius, in units of pixels in [0, 1].")
flags.DEFINE_enum(
    "verifier",
    "ladder",
    ["ladder", *VERIFIERS],
    "The verifier; ladder runs one after the other on what is open.",
)
flags.DEFINE_float(
    "timeout",
    10.0,
    "Seconds that branch and bound may take for each example it is asked; 0 "
    "leaves it out of the ladder.",
    lower_bound=0.0,
)
flags.DEFINE_integer("limit", None, "How many examples; None for all.")
flags.DEFINE_integer("memory", 2**30, "Bytes that a batch of bounds may take.")
flags.DEFINE_string("state", None, "File that keeps verdicts meanwhile.")
flags.DEFINE_string("report", None, "New folder for the report.")
FLAGS = flags.FLAGS


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.report and pathlib.Path(FLAGS.report).exists():
        raise app.UsageError(f"{FLAGS.report} exists. Name a new folder.")
    models.check("model", FLAGS.model)
    threat = threat_of(FLAGS.epsilon, FLAGS.norm)
    train, test = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    x, y = (part[: FLAGS.limit] for part in test)
    report = tfr.certify(
        models.load_or_train(FLAGS.model, train, threat),
        (x, y),
        chosen(threat, FLAGS.verifier, FLAGS.timeout),
        memory=FLAGS.memory,
        state=FLAGS.state,
        dataset=f"{FLAGS.dataset}, test",
    )
    print(report)
    verdicts, counts = np.unique(
        report.certificates["verdict"], return_counts=True
    )
    print(dict(zip(verdicts.tolist(), counts.tolist(), strict=True)))
    if FLAGS.report:
        report.save(FLAGS.report)
    clean, attacked = report.rows[0].correct, report.rows[1].correct
    certified = report["worst case"].correct
    if np.any(certified & ~attacked) or np.any(attacked & ~clean):
        raise SystemExit("Certified <= attacked <= clean does not hold.")


if __name__ == "__main__":
    app.run(main)
