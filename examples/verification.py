r"""Trains a network, and compares what each verifier proves of it.

    python examples/verification.py --dataset=mnist --network=fc1 \
        --objective=ibp --model_dir=runs/fc1_ibp

`--model_dir` receives the model, which isn't trained again if it is there, then
results.json, the table's row. boxes.npz and boundless.npz hold a certified
radius for every pixel of some images, within [0, 1] and without a range;
`plot_boxes.py` draws them.
"""

import json
import pathlib

from absl import app, flags

import certificates
import datasets
import networks
import tfrobust as tfr
from tfrobust.backend import keras

NETWORKS = {"fc1": "fc1", "cnn": "small_cnn"}
BATCH_SIZE = 128
FLAGS = flags.FLAGS
flags.DEFINE_enum("network", "fc1", list(NETWORKS), "Network.")
flags.DEFINE_enum("objective", "ibp", ["plain", "pgd", "ibp"], "Training.")
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_float("epsilon", 0.1, "linf radius; pixels are in [0, 1].")
flags.DEFINE_integer("epochs", 15, "Epochs.", lower_bound=1)
flags.DEFINE_integer("train_examples", None, "Use only the first ones.")
flags.DEFINE_integer("limit", 500, "How many test images to certify.")
flags.DEFINE_integer("radius_examples", 100, "How many get a radius.")
flags.DEFINE_integer("box_examples", 20, "How many get a radius per pixel.")
flags.DEFINE_integer("box_steps", 400, "Steps that look for these radii.")
flags.DEFINE_string("model_dir", None, "Folder of the run.", required=True)
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and attacks.")


def train(x, y):
    """A model trained at linf epsilon, which an IBP objective ramps up to."""
    total = FLAGS.epochs * -(-len(x) // BATCH_SIZE)
    half = total // 2
    ramp = tfr.schedules.Ramp(0.0, FLAGS.epsilon, end=half)
    attack = tfr.attacks.PGD(tfr.threats.Linf(FLAGS.epsilon), seed=FLAGS.seed)
    bounds = tfr.verifiers.IBP(tfr.threats.Linf(ramp))
    objective = {
        "plain": tfr.objectives.Clean(),
        "pgd": tfr.objectives.WorstCase(attack),
        "ibp": tfr.objectives.WorstCase(bounds, mix=0.5),
    }[FLAGS.objective]
    rate = tfr.schedules.Ramp(1e-3, 1e-5, begin=half, end=total)
    network = networks.build(NETWORKS[FLAGS.network], x.shape[1:], 10)
    model = tfr.RobustModel(network)
    model.compile(keras.optimizers.Adam(rate), objective=objective)
    step = model.optimizer.iterations
    batches = datasets.batches(x, y, BATCH_SIZE, FLAGS.seed, step)
    model.fit(batches, epochs=FLAGS.epochs, shuffle=False, verbose=2)
    return model


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    keras.utils.set_random_seed(FLAGS.seed)
    folder = pathlib.Path(FLAGS.model_dir)
    counts = FLAGS.limit, FLAGS.radius_examples, FLAGS.box_examples
    (x, y), (x_test, y_test) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    path = folder / "model.keras"
    if path.exists():
        model = keras.models.load_model(path)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        model = train(x[: FLAGS.train_examples], y[: FLAGS.train_examples])
        model.save(path)
    certify, search, box = ((x_test[:n], y_test[:n]) for n in counts)
    epsilon, steps = FLAGS.epsilon, FLAGS.box_steps
    row = {
        "network": FLAGS.network,
        "objective": FLAGS.objective,
        "whole test set": certificates.cheap(model, x_test, y_test, epsilon),
        "errors": certificates.errors(model, *certify, epsilon, FLAGS.seed),
        "radii": certificates.radii(model, *search, epsilon),
        **certificates.boxes(model, *box, epsilon, steps, folder),
    }
    text = json.dumps(row, indent=1)
    print(text)
    (folder / "results.json").write_text(text)


if __name__ == "__main__":
    app.run(main)
