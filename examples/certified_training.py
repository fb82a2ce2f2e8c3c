"""Certified training, and how much of it is proven in the end.

Usage:
    python examples/certified_training.py --model_dir=runs/certified
    python examples/certified_training.py --dataset=mnist --network=small_cnn \
        --method=mtl --weight=0.06 --epsilon=0.1 --train_epsilon=0.14 \
        --epochs=45 --l1=1e-6 --model_dir=runs/mtl

Epsilon grows to `--train_epsilon` over a share of the steps, the learning rate
falls to a fifth twice; networks with batch normalisation are trained by the
clean batch's statistics, also sparse binary ones (`--density`). The network is
certified, from cheap to tight, on test images, or on those held out of training
with `--validate`. `--model_dir` receives flags.txt, history.csv, the model, the
report and the SavedModel with its robustness card; `--table` names a CSV file
for one row. `--flagfile=FOLDER/flags.txt --resume` goes on with a killed run.
"""

import pathlib
import time

from absl import app, flags

import certified_methods as methods
import datasets
import networks
import runs
import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.threats.norms import NORMS

FREE = "data_dir model_dir table zoo limit timeout validate".split()

FLAGS = flags.FLAGS
flags.DEFINE_bool("resume", False, "Go on with a killed run.")
flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
flags.DEFINE_string("table", None, "CSV file to append the row to.")
flags.DEFINE_string("zoo", None, "Write NAME.npz too, as the zoo holds it.")
flags.DEFINE_enum("method", "mtl", list(methods.METHODS), "Training method.")
flags.DEFINE_float("weight", 0.5, "The method's own, see certified_methods.py.")
flags.DEFINE_integer("steps", 1, "Steps of the attack in training.", 1)
flags.DEFINE_integer("split", 1, "taps: the activation that it attacks.", 1)
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("network", "digits_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "The network's width; else its default.")
flags.DEFINE_float("density", 1.0, "Below 1: of a sparse binary network.", 0, 1)
flags.DEFINE_enum("norm", "linf", list(NORMS), "Norm of the threat.")
flags.DEFINE_float("epsilon", 0.05, "Radius to certify; pixels in [0, 1].", 0)
flags.DEFINE_float("train_epsilon", None, "Radius to train at; else the same.")
flags.DEFINE_float("ramp", 0.35, "Share of the steps that it grows in.", 0, 1)
flags.DEFINE_float("regularizer", 0.0, "Weight of the warm-up's regularisers.")
flags.DEFINE_bool("ibp_init", False, "Initial kernels that keep intervals.")
flags.DEFINE_float("l1", 0.0, "Weight of the kernels' magnitudes.", 0)
flags.DEFINE_float("learning_rate", 1e-3, "Adam's; a fifth from 60 and 85 %.")
flags.DEFINE_float("ema", 0.0, "Decay of the averaged weights; 0 is off.", 0, 1)
flags.DEFINE_integer("epochs", 30, "Epochs.", 1)
flags.DEFINE_integer("batch_size", 128, "Batch size.", 1)
flags.DEFINE_integer("padding", 0, "Pixels to pad with, then to crop.", 0)
flags.DEFINE_bool("flip", False, "Flip images left and right at random.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.", 1)
flags.DEFINE_integer("held_out", 500, "Of the training images, the last.", 1)
flags.DEFINE_bool("validate", False, "Certify those, not test images.")
flags.DEFINE_integer("limit", None, "How many images to certify; else all.", 1)
flags.DEFINE_float("timeout", 3.0, "Seconds of branch and bound an image.", 0)
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")


def make_model(shape, total, threat):
    """A compiled model for so many steps."""
    network = networks.build(FLAGS.network, shape, 10, FLAGS.width)
    kernels = {}
    if FLAGS.ibp_init:
        kernels["kernel_initializer"] = tfr.initializers.IBPInit()
    if FLAGS.l1:
        kernels["kernel_regularizer"] = keras.regularizers.L1(FLAGS.l1)
    network = networks.remade(network, kernels)
    if FLAGS.density < 1:
        network = tfr.compression.subnetwork(
            network, FLAGS.density, seed=1000 * FLAGS.seed
        )
    steps = [int(share * total) for share in (0.6, 0.85)]
    rates = [FLAGS.learning_rate * factor for factor in (1, 0.2, 0.04)]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates)
    options = {"use_ema": True, "ema_momentum": FLAGS.ema} if FLAGS.ema else {}
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=10.0, **options),
        objective=methods.made(FLAGS, total, network),
        adversaries={"pgd": tfr.attacks.PGD(threat, steps=20)},
    )
    return model


def train(folder, data, held, threat):
    """The trained model, and the seconds that it took."""
    total = FLAGS.epochs * -(-len(data[0]) // FLAGS.batch_size)
    model = make_model(data[0].shape[1:], total, threat)
    step = model.optimizer.iterations
    crop = tfr.instances.CropFlip(FLAGS.padding, FLAGS.flip, seed=FLAGS.seed)
    batches = datasets.batches(*data, FLAGS.batch_size, FLAGS.seed, step, crop)
    runs.begin(folder, FLAGS.resume, FREE)
    begin = time.perf_counter()
    model.fit(
        batches,
        epochs=FLAGS.epochs,
        shuffle=False,
        validation_data=held,
        verbose=2,
        callbacks=methods.reestimated(model.network, data)
        + runs.callbacks(folder, monitor="val_pgd_accuracy"),
    )
    model.save(folder / runs.LAST)
    return model, time.perf_counter() - begin


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    keras.utils.set_random_seed(FLAGS.seed)
    folder = pathlib.Path(FLAGS.model_dir)
    threat = NORMS[FLAGS.norm](FLAGS.epsilon)
    (x, y), test = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    held = x[-FLAGS.held_out :], y[-FLAGS.held_out :]
    data = (part[: -FLAGS.held_out][: FLAGS.train_examples] for part in (x, y))
    model, seconds = train(folder, tuple(data), held, threat)
    if FLAGS.density < 1:
        model = tfr.compression.plain(model)
    x, y = (part[: FLAGS.limit] for part in (held if FLAGS.validate else test))
    verifiers = tfr.verifiers.ladder(threat, FLAGS.timeout)
    if FLAGS.norm == "l2":  # Without time for more, by the constant alone.
        others = verifiers if FLAGS.timeout else []
        verifiers = [tfr.verifiers.Lipschitz(threat), *others]
    state, begin = folder / "certificates", time.perf_counter()
    options = {"state": state, "dataset": FLAGS.dataset}
    report = tfr.certify(model, (x, y), verifiers, **options)
    print(report)
    report.save(runs.unused(folder / "report"))
    print("Exported to", tfr.export(model, folder / "served", report=report))
    if FLAGS.zoo:
        path, command = folder / f"{FLAGS.zoo}.npz", runs.command(__file__)
        print("Wrote", tfr.zoo.write(path, model, report, command))
    if FLAGS.table:
        row = {row.name: 1 - row.accuracy for row in report.rows}
        row |= {"training": seconds, "proving": time.perf_counter() - begin}
        runs.append(pathlib.Path(FLAGS.table), [row])


if __name__ == "__main__":
    app.run(main)
