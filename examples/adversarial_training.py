"""Trains, evaluates or exports an adversarially robust image classifier.

Usage:
    python examples/adversarial_training.py --dataset=mnist --network=lenet \
        --epsilon=0.3 --schedule=linear --model_dir=/tmp/mnist
    python examples/adversarial_training.py --mode=evaluate \
        --flagfile=/tmp/mnist/flags.txt
    python examples/adversarial_training.py --mode=export \
        --flagfile=/tmp/mnist/flags.txt

`--model_dir` receives the resolved flags (a flagfile that replays the run),
the history, TensorBoard logs, the best and the last model. A killed run goes on
with `--resume`, to the weights of a run that was never killed.
"""

import pathlib

import datasets
import networks
import tensorflow as tf
from absl import app, flags

import tfrobust as tfr
from tfrobust.backend import keras

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "mode", "train", ["train", "evaluate", "export"], "What to do."
)
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("network", "digits_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "The network's width; else its default.")
flags.DEFINE_enum(
    "objective",
    "pgd",
    ["clean", "pgd", "mixed", "trades", "mart", "awp"],
    "Training objective.",
)
flags.DEFINE_enum("attack", "pgd", ["pgd", "fgsm"], "Training attack.")
flags.DEFINE_enum("norm", "linf", ["linf", "l2", "l1"], "Norm of the threat.")
flags.DEFINE_float(
    "epsilon", 0.1, "Radius of the threat, for inputs in [0, 1]."
)
flags.DEFINE_integer("steps", 10, "Steps of the training attack.")
flags.DEFINE_float("step_size", 0.25, "Length of a step, relative to epsilon.")
flags.DEFINE_enum(
    "schedule",
    "constant",
    ["constant", "ramp", "linear", "cosine"],
    "How epsilon moves: constant; one ramp over the first half; or the "
    "periodic linear and cosine warm-ups.",
)
flags.DEFINE_integer("periods", 1, "Periods of a periodic schedule.")
flags.DEFINE_float("beta", 6.0, "Weight of TRADES and MART.")
flags.DEFINE_float("label_smoothing", 0.0, "Label smoothing of the loss.")
flags.DEFINE_float("ema", 0.0, "Decay of the averaged weights; 0 is off.")
flags.DEFINE_enum("optimizer", "adam", ["adam", "sgd"], "Optimizer.")
flags.DEFINE_float("learning_rate", 1e-3, "Learning rate.")
flags.DEFINE_integer("epochs", 30, "Epochs.")
flags.DEFINE_integer("batch_size", 128, "Batch size.")
flags.DEFINE_bool("augment", False, "Random crops and flips.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.")
flags.DEFINE_integer(
    "validation_examples", 500, "Held out of the training set."
)
flags.DEFINE_integer("test_examples", None, "Evaluate only the first ones.")
flags.DEFINE_integer("test_steps", 100, "Steps of the evaluation's PGD.")
flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
flags.DEFINE_bool("resume", False, "Go on with the run in --model_dir.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")

THREATS = {"linf": tfr.threats.Linf, "l2": tfr.threats.L2, "l1": tfr.threats.L1}


def make_epsilon(total):
    """The radius, or its schedule over `total` training steps."""
    epsilon = FLAGS.epsilon
    edges = [i * total // FLAGS.periods for i in range(FLAGS.periods + 1)]
    if FLAGS.schedule == "ramp":
        return tfr.schedules.Ramp(0.0, epsilon, end=total // 2)
    if FLAGS.schedule == "linear":
        return tfr.schedules.PeriodicLinear(
            0.0, 2 * epsilon, edges, high=epsilon
        )
    if FLAGS.schedule == "cosine":
        return tfr.schedules.PeriodicCosine(
            0.0, 1.5 * epsilon, edges, high=epsilon
        )
    return epsilon


def make_objective(threat):
    """The training objective on `threat`."""
    if FLAGS.attack == "fgsm":
        attack = tfr.attacks.FGSM(
            threat, step_size=1.25, random_start=1.0, seed=FLAGS.seed
        )
    else:
        attack = tfr.attacks.PGD(
            threat, FLAGS.steps, FLAGS.step_size, seed=FLAGS.seed
        )
    worst_case = tfr.objectives.WorstCase(attack)
    return {
        "clean": lambda: tfr.objectives.Clean(),
        "pgd": lambda: worst_case,
        "mixed": lambda: tfr.objectives.WorstCase(attack, mix=0.5),
        "trades": lambda: tfr.objectives.TRADES(attack, FLAGS.beta),
        "mart": lambda: tfr.objectives.MART(attack, FLAGS.beta),
        "awp": lambda: tfr.objectives.AWP(worst_case),
    }[FLAGS.objective]()


def make_optimizer():
    """The optimizer, with averaged weights if asked for."""
    options = {"learning_rate": FLAGS.learning_rate}
    if FLAGS.ema:
        options |= {"use_ema": True, "ema_momentum": FLAGS.ema}
    if FLAGS.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=0.9, **options)
    return keras.optimizers.Adam(**options)


def train(folder, x, y):
    """Trains from scratch, or from where a killed run was."""
    if folder.exists() and any(folder.iterdir()) and not FLAGS.resume:
        raise app.UsageError(
            f"--model_dir={folder} holds a run. Pass --resume to go on with "
            "it, or name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flags.txt").write_text(FLAGS.flags_into_string())
    held = FLAGS.validation_examples
    x_train, y_train = x[:-held][: FLAGS.train_examples], y[:-held]
    y_train = y_train[: FLAGS.train_examples]
    total = FLAGS.epochs * -(-len(x_train) // FLAGS.batch_size)
    threat = THREATS[FLAGS.norm]
    network = networks.build(
        FLAGS.network, x.shape[1:], classes=10, width=FLAGS.width
    )
    model = tfr.RobustModel(network)
    model.compile(
        make_optimizer(),
        loss=tfr.losses.CrossEntropy(FLAGS.label_smoothing),
        objective=make_objective(threat(make_epsilon(total))),
        adversaries={"pgd": tfr.attacks.PGD(threat(FLAGS.epsilon), steps=20)},
    )
    batches = datasets.batches(
        x_train,
        y_train,
        FLAGS.batch_size,
        FLAGS.seed,
        step=model.optimizer.iterations,
        augment=FLAGS.augment,
    )
    best = {
        "monitor": "val_pgd_accuracy",
        "mode": "max",
        "save_best_only": True,
    }
    model.fit(
        batches,
        epochs=FLAGS.epochs,
        validation_data=(x[-held:], y[-held:]),
        verbose=2,
        callbacks=[
            keras.callbacks.BackupAndRestore(
                str(folder / "backup"), delete_checkpoint=False
            ),
            keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
            keras.callbacks.TensorBoard(str(folder / "logs")),
            keras.callbacks.ModelCheckpoint(str(folder / "best.keras"), **best),
        ],
    )
    model.save(folder / "model.keras")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    keras.utils.set_random_seed(FLAGS.seed)
    tf.config.experimental.enable_op_determinism()
    folder = pathlib.Path(FLAGS.model_dir)
    (x, y), (x_test, y_test) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    if FLAGS.mode == "train":
        train(folder, x, y)
        return
    model = keras.models.load_model(folder / "model.keras")
    if FLAGS.mode == "export":
        print("Exported to", tfr.export(model, folder / "served"))
        return
    count = FLAGS.test_examples
    threat = THREATS[FLAGS.norm](FLAGS.epsilon)
    attacks = {
        "fgsm": tfr.attacks.FGSM(threat),
        "pgd": tfr.attacks.PGD(threat, FLAGS.test_steps, step_size=0.1),
    }
    report = tfr.evaluate(
        model, (x_test[:count], y_test[:count]), attacks, dataset=FLAGS.dataset
    )
    print(report)
    report.save(folder / "report")


if __name__ == "__main__":
    app.run(main)
