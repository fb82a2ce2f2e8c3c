r"""Writes the folder that TensorFlow Serving watches, and how to start it.

The model is served packed, with a signature that certifies its answers and one
that abstains where they aren't certified. Without `--model` a sparse binary
network is first trained on scikit-learn's handwritten digits.

Usage:
    python examples/serve.py
    python examples/serve.py --model=runs/mnist/best.keras --dataset=mnist \
        --epsilon=0.1 --output_dir=served/mnist --litert=mnist.tflite
"""

import json
import pathlib
import shlex

from absl import app, flags, logging

import datasets
import networks
import tfrobust as tfr
from tfrobust.backend import keras

flags.DEFINE_string("model", None, "A .keras file; None trains one.")
flags.DEFINE_enum(
    "dataset", "digits", list(datasets.SHAPES), "What it was trained on."
)
flags.DEFINE_string("data_dir", None, "Folder of its files; None downloads.")
flags.DEFINE_float("epsilon", 0.05, "linf radius of the certificates.")
flags.DEFINE_float("density", 0.1, "Share of the weights kept in training.")
flags.DEFINE_integer("epochs", 20, "Epochs of training.", 1)
flags.DEFINE_integer("limit", 100, "Test images to attack the export on.", 1)
flags.DEFINE_string("output_dir", "served/digits", "Folder of the versions.")
flags.DEFINE_string("litert", None, "Write this .tflite file too.")
FLAGS = flags.FLAGS


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    # Exporting would list every weight otherwise.
    logging.set_verbosity(logging.WARNING)
    if FLAGS.model and not pathlib.Path(FLAGS.model).exists():
        raise app.UsageError(f"--model: there is nothing at {FLAGS.model}.")
    threat = tfr.threats.Linf(FLAGS.epsilon)
    train, (x, y) = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    data = x[: FLAGS.limit], y[: FLAGS.limit]
    if FLAGS.model:
        model = keras.models.load_model(FLAGS.model)
    else:
        model = trained(train, threat)
    base = pathlib.Path(FLAGS.output_dir).absolute()
    path = tfr.export(
        model, base, certify=tfr.verifiers.CROWN(threat), data=data
    )
    print(f"{'exported to':<22} {'KB':>7} {'clean':>7} {'PGD':>7} {'CROWN':>7}")
    card = json.loads((path / "robustness_card.json").read_text())
    show(path, card)
    if FLAGS.litert:
        file = tfr.export_litert(
            model,
            FLAGS.litert,
            calibration=train[0][:100],
            data=data,
            attack=tfr.attacks.PGD(threat, steps=20),
        )
        show(file, json.loads(file.with_name(file.name + ".json").read_text()))
    print_commands(base, x[0])
    found = card["artefact"]
    attacked, certified = found["attack_accuracy"], found["certified_accuracy"]
    if not certified <= attacked <= found["clean_accuracy"]:
        raise SystemExit("Certified <= attacked <= clean does not hold.")


def trained(train, threat):
    """A sparse binary network, trained against PGD."""
    keras.utils.set_random_seed(0)
    shape, classes = train[0].shape[1:], int(train[1].max()) + 1
    dense = networks.digits_cnn(input_shape=shape, classes=classes)
    network = tfr.compression.subnetwork(dense, density=FLAGS.density)
    model = tfr.RobustModel(network)
    attack = tfr.attacks.PGD(threat, steps=3, step_size=0.5)
    model.compile("adam", objective=tfr.objectives.WorstCase(attack))
    model.fit(*train, batch_size=64, epochs=FLAGS.epochs, verbose=2)
    return model


def show(path, card):
    """One row of the table."""
    found = card["artefact"]
    names = ("clean_accuracy", "attack_accuracy", "certified_accuracy")
    cells = [f"{found[n]:7.1%}" if n in found else " " * 7 for n in names]
    name = "/".join(path.parts[-2:])
    print(f"{name:<22} {card['bytes'] / 1000:7.1f}", *cells)


def print_commands(base, image):
    """What starts the server and what asks it, with a sample request."""
    request = base / "request.json"
    body = {
        "signature_name": "predict_or_abstain",
        "instances": [image.tolist()],
    }
    request.write_text(json.dumps(body))
    folder, sample = shlex.quote(str(base)), shlex.quote(f"@{request}")
    url = f"http://localhost:8501/v1/models/{base.name}:predict"
    print(
        "\nStart the server:\n"
        f"  docker run --publish 8501:8501 --volume {folder}:{folder} \\\n"
        "    tensorflow/serving --enable_batching \\\n"
        f"    --model_config_file={folder}/models.config \\\n"
        f"    --batching_parameters_file={folder}/batching.config\n"
        f"\nAsk it:\n  curl --data {sample} {url}\n"
        "It answers -1 where the class isn't certified."
    )


if __name__ == "__main__":
    app.run(main)
