r"""Attacks a saved model, or the file that is served, and gates a release.

    python examples/evaluate.py --model=runs/mnist/best.keras --dataset=mnist \
        --epsilon=0.1 --limit=1000 --min_accuracy=0.8 --report=report

`--model` is a .keras file, the folder of a SavedModel whose signature
`serving_default` returns `logits`, such as served/1, or a .tflite file. One
without gradients is attacked through its `--surrogate`, a .keras file that
answers alike, and by Square. Without `--model` a small network is first trained
on the bundled digits. A run that is stopped goes on where it was, if it is
given the same file to `--state`.

With `--min_accuracy` the exit code is 1 when the accuracy under the worst case
is below it, the report is unreliable, or stronger attacks are known.
"""

import pathlib

from absl import app, flags

import datasets
import models
import tfrobust as tfr
from tfrobust.commands.choices import ATTACKS
from tfrobust.commands.reports import gate
from tfrobust.threats.norms import NORMS, threat_of

TRANSFERRED = ("fgsm", "pgd", "apgd")

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "What to attack; see above.")
flags.DEFINE_string("surrogate", None, "A .keras file with gradients.")
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Its test set.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.05, "Radius; pixels are in [0, 1].", 0.0)
flags.DEFINE_multi_enum(
    "attack", ["autoattack"], list(ATTACKS), "The attack; repeat it for more."
)
flags.DEFINE_integer("limit", None, "How many examples.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Examples at a time.", lower_bound=1)
flags.DEFINE_string("state", None, "File that keeps answers meanwhile.")
flags.DEFINE_string("report", None, "New folder for the report.")
flags.DEFINE_float("min_accuracy", None, "Share that passes.", 0.0, 1.0)


def check_flags(argv):
    """Refuses what can't work before anything is done."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if FLAGS.report and pathlib.Path(FLAGS.report).exists():
        raise app.UsageError(f"--report={FLAGS.report} exists. Name a new one.")
    models.check("model", FLAGS.model)
    models.check("surrogate", FLAGS.surrogate)
    if FLAGS.surrogate and not FLAGS.surrogate.endswith(".keras"):
        raise app.UsageError(
            f"--surrogate={FLAGS.surrogate} must be a .keras file."
        )
    blind = (
        FLAGS.model and FLAGS.model.endswith(".tflite") and not FLAGS.surrogate
    )
    for attack in FLAGS.attack:
        if FLAGS.surrogate and attack not in TRANSFERRED:
            raise app.UsageError(
                f"--attack={attack} can't be found on a --surrogate. Choose "
                f"one of {', '.join(TRANSFERRED)}."
            )
        if blind and attack != "square":
            raise app.UsageError(
                f"--attack={attack} needs gradients, which a .tflite file "
                "hasn't. Pass a --surrogate, or --attack=square."
            )


def adversaries(threat):
    """The attacks by name, or on the surrogate and with Square beside them."""
    attacks = {name: ATTACKS[name](threat) for name in FLAGS.attack}
    if not FLAGS.surrogate:
        return attacks
    surrogate = models.load(FLAGS.surrogate)
    moved = {
        f"{name} on the surrogate": tfr.attacks.Transfer(attack, surrogate)
        for name, attack in attacks.items()
    }
    return {**moved, "square": tfr.attacks.Square(threat)}


def main(argv):
    check_flags(argv)
    threat = threat_of(FLAGS.epsilon, FLAGS.norm)
    train, (x, y) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    report = tfr.evaluate(
        models.load_or_train(FLAGS.model, train, threat),
        (x[: FLAGS.limit], y[: FLAGS.limit]),
        adversaries(threat),
        batch_size=FLAGS.batch_size,
        state=FLAGS.state,
        name=FLAGS.model or "small network",
        dataset=f"{FLAGS.dataset}, test",
    )
    print(report)
    if FLAGS.report:
        report.save(FLAGS.report)
    if code := gate(report, FLAGS.min_accuracy):
        raise SystemExit(code)


if __name__ == "__main__":
    app.run(main)
