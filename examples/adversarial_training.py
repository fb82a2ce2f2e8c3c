"""Trains, evaluates or exports an adversarially robust image classifier.

Usage:
    python examples/adversarial_training.py --dataset=mnist --network=lenet \
        --epsilon=0.3 --schedule=linear --model_dir=/tmp/mnist
    python examples/adversarial_training.py --flagfile=/tmp/mnist/flags.txt \
        --mode=evaluate
    python examples/adversarial_training.py --mode=export --model_dir=/tmp/mnist

`--model_dir` receives flags.txt, history.csv, TensorBoard's logs, the best and
the last model, and later reports and exports. flags.txt replays the run: the
flags after `--flagfile` replace those in it, such as another `--model_dir`.
A killed run goes on, to the weights of a run that was never killed, with
    python examples/adversarial_training.py --flagfile=/tmp/mnist/flags.txt \
        --resume
"""

import pathlib

import tensorflow as tf
from absl import app, flags, logging

import datasets
import networks
import runs
import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.threats.norms import NORMS

MODELS = {"last": runs.LAST, "best": runs.BEST}
# Flags that may differ when a run goes on.
FREE = (
    "epochs data_dir model_dir model raw test_examples test_steps "
    "diagnostic_examples"
).split()

FLAGS = flags.FLAGS
flags.DEFINE_enum("mode", "train", ["train", "evaluate", "export"], "Task.")
flags.DEFINE_bool("resume", False, "Go on with a killed run.")
flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
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
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.1, "Radius of the threat; pixels are in [0, 1]")
flags.DEFINE_integer("steps", 10, "Steps of the training attack.")
flags.DEFINE_float("step_size", 0.25, "Length of a step, relative to epsilon.")
flags.DEFINE_enum(
    "schedule",
    "constant",
    ["constant", "ramp", "linear", "cosine"],
    "How epsilon moves: a ramp takes half the steps; the rest have periods.",
)
flags.DEFINE_integer("periods", 1, "Periods of a schedule.", lower_bound=1)
flags.DEFINE_float("beta", 6.0, "Weight of TRADES and MART.")
flags.DEFINE_float("label_smoothing", 0.0, "Label smoothing of the loss.")
flags.DEFINE_float("ema", 0.0, "Decay of the averaged weights; 0 is off.")
flags.DEFINE_enum("optimizer", "adam", ["adam", "sgd"], "Optimizer.")
flags.DEFINE_float("learning_rate", 1e-3, "Learning rate.")
flags.DEFINE_integer("epochs", 30, "Epochs.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Batch size.", lower_bound=1)
flags.DEFINE_bool("augment", False, "Random crops and flips.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.")
flags.DEFINE_integer(
    "validation_examples", 500, "Held out of the training set.", lower_bound=1
)
flags.DEFINE_integer("test_examples", None, "Evaluate only the first ones.")
flags.DEFINE_integer("test_steps", 100, "Steps of the evaluation's PGD.")
flags.DEFINE_integer("diagnostic_examples", 256, "Examples to diagnose on.")
flags.DEFINE_enum("model", "last", list(MODELS), "What to evaluate or export.")
flags.DEFINE_bool("raw", False, "Not the averaged weights (--model=best only).")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")


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
    attack = tfr.attacks.PGD(
        threat, FLAGS.steps, FLAGS.step_size, seed=FLAGS.seed
    )
    if FLAGS.attack == "fgsm":
        attack = tfr.attacks.FGSM(
            threat, step_size=1.25, random_start=1.0, seed=FLAGS.seed
        )
    return {
        "clean": tfr.objectives.Clean(),
        "pgd": tfr.objectives.WorstCase(attack),
        "mixed": tfr.objectives.WorstCase(attack, mix=0.5),
        "trades": tfr.objectives.TRADES(attack, FLAGS.beta),
        "mart": tfr.objectives.MART(attack, FLAGS.beta),
        "awp": tfr.objectives.AWP(tfr.objectives.WorstCase(attack)),
    }[FLAGS.objective]


def make_model(shape, total):
    """A compiled model for images of `shape` and `total` training steps."""
    optimizer, options = keras.optimizers.Adam, {}
    if FLAGS.optimizer == "sgd":
        optimizer, options = keras.optimizers.SGD, {"momentum": 0.9}
    if FLAGS.ema:
        options |= {"use_ema": True, "ema_momentum": FLAGS.ema}
    threat = NORMS[FLAGS.norm]
    network = networks.build(FLAGS.network, shape, 10, width=FLAGS.width)
    model = tfr.RobustModel(network)
    model.compile(
        optimizer(FLAGS.learning_rate, **options),
        loss=tfr.losses.CrossEntropy(FLAGS.label_smoothing),
        objective=make_objective(threat(make_epsilon(total))),
        adversaries={"pgd": tfr.attacks.PGD(threat(FLAGS.epsilon), steps=20)},
    )
    return model


def train(folder):
    """Trains from scratch, or from where a killed run was."""
    (x, y), _ = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    held, count = FLAGS.validation_examples, FLAGS.train_examples
    if held >= len(x):
        raise app.UsageError(f"--validation_examples={held} of {len(x)}.")
    x_train, y_train = x[:-held][:count], y[:-held][:count]
    total = FLAGS.epochs * -(-len(x_train) // FLAGS.batch_size)
    model = make_model(x.shape[1:], total)
    step = model.optimizer.iterations
    crop = tfr.instances.CropFlip(seed=FLAGS.seed) if FLAGS.augment else None
    batches = datasets.batches(
        x_train, y_train, FLAGS.batch_size, FLAGS.seed, step, crop
    )
    # Last of all checks, so that a run that cannot start leaves nothing.
    runs.begin(folder, FLAGS.resume, FREE)
    model.fit(
        batches,
        epochs=FLAGS.epochs,
        shuffle=False,
        validation_data=(x[-held:], y[-held:]),
        verbose=2,
        callbacks=runs.callbacks(folder, monitor="val_pgd_accuracy"),
    )
    model.save(folder / runs.LAST)


def evaluate(folder, model):
    """Writes a new report beside those that are there."""
    _, (x, y) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    if x.shape[1:] != model.network.input_shape[1:]:
        raise app.UsageError(
            f"--dataset={FLAGS.dataset} does not fit the model. Pass "
            f"--flagfile={folder / 'flags.txt'} first."
        )
    threat = NORMS[FLAGS.norm](FLAGS.epsilon)
    attacks = {
        "fgsm": tfr.attacks.FGSM(threat),
        "pgd": tfr.attacks.PGD(threat, FLAGS.test_steps, step_size=0.1),
    }
    data = x[: FLAGS.test_examples], y[: FLAGS.test_examples]
    report = tfr.evaluate(
        model,
        data,
        attacks,
        diagnostic_examples=FLAGS.diagnostic_examples,
        dataset=FLAGS.dataset,
    )
    print(report)
    path = runs.unused(folder / "report")
    report.save(path)
    print("Report:", path / "report.html")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    # Exporting would list every weight otherwise.
    logging.set_verbosity(logging.WARNING)
    keras.utils.set_random_seed(FLAGS.seed)
    tf.config.experimental.enable_op_determinism()
    folder = pathlib.Path(FLAGS.model_dir)
    if FLAGS.mode == "train":
        return train(folder)
    path = folder / MODELS[FLAGS.model]
    if not path.exists():
        raise app.UsageError(f"{path} is missing. Train first, to the end.")
    # The averaged weights are a part of the optimizer.
    model = keras.models.load_model(path, compile=not FLAGS.raw)
    if FLAGS.mode == "evaluate":
        return evaluate(folder, model)
    print("Exported to", tfr.export(model, folder / "served"))


if __name__ == "__main__":
    app.run(main)
