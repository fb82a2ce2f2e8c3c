r"""Attacks a saved model on the workers of an Apache Beam runner.

    python examples/evaluate_beam.py --model=runs/mnist/best.keras \
        --dataset=mnist --epsilon=0.1 --report=report --runner=DirectRunner \
        -- --direct_running_mode=multi_processing --direct_num_workers=4

The test set is evaluated in shards, and the report is that of one process.
What follows `--` are flags of the runner. On a runner on other machines,
`--model`, `--data_dir`, `--folder` and `--state` must be paths that its workers
reach, and the folder of this script must be on their PYTHONPATH. Workers
compute in processes of their own: if one is killed, as for its memory, its
shard runs again. A worker that is itself killed is the runner's to replace,
which the local one doesn't: stop it, and run it again with the same `--state`.
"""

import functools
import pathlib

from absl import app, flags

import datasets
import models
import tfrobust as tfr
from tfrobust.commands.choices import ATTACKS
from tfrobust.evaluation import beam
from tfrobust.threats.norms import NORMS, threat_of

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "What to attack.", required=True)
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Its test set.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.05, "Radius; pixels are in [0, 1].", 0.0)
flags.DEFINE_enum("attack", "autoattack", list(ATTACKS), "The attack.")
flags.DEFINE_integer("limit", None, "How many examples.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Examples at a time.", lower_bound=1)
flags.DEFINE_integer("shard_size", 1024, "Examples in a shard.", lower_bound=1)
flags.DEFINE_integer("diagnostic_examples", 256, "How many are diagnosed on.")
flags.DEFINE_string("folder", None, "Where shards leave their results.")
flags.DEFINE_string("state", None, "Folder that keeps answers meanwhile.")
flags.DEFINE_string("report", None, "New folder for the report.")
flags.DEFINE_string("runner", "DirectRunner", "Beam's runner.")


def problem(path, dataset, data_dir, limit, norm, epsilon, attack):
    """Model, data and adversaries, as every worker loads them."""
    _, (x, y) = datasets.load(dataset, data_dir)
    adversary = ATTACKS[attack](threat_of(epsilon, norm))
    return models.load(path), (x[:limit], y[:limit]), {attack: adversary}


def main(argv):
    if not all(argument.startswith("--") for argument in argv[1:]):
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.report and pathlib.Path(FLAGS.report).exists():
        raise app.UsageError(f"--report={FLAGS.report} exists. Name a new one.")
    models.check("model", FLAGS.model)
    report = beam.sharded(
        tfr.evaluate,
        functools.partial(
            problem,
            FLAGS.model,
            FLAGS.dataset,
            FLAGS.data_dir,
            FLAGS.limit,
            FLAGS.norm,
            FLAGS.epsilon,
            FLAGS.attack,
        ),
        folder=FLAGS.folder,
        shard_size=FLAGS.shard_size,
        state=FLAGS.state,
        flags=[f"--runner={FLAGS.runner}", *argv[1:]],
        batch_size=FLAGS.batch_size,
        diagnostic_examples=FLAGS.diagnostic_examples,
        name=FLAGS.model,
        dataset=f"{FLAGS.dataset}, test",
    )
    print(report)
    if FLAGS.report:
        report.save(FLAGS.report)


if __name__ == "__main__":
    app.run(main)
