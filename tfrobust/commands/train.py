"""`tfrobust train`: trains a network against PGD."""

import csv
import pathlib

from absl import flags

from tfrobust import files
from tfrobust.attacks import PGD
from tfrobust.backend import keras
from tfrobust.commands import data, models, options
from tfrobust.model import RobustModel
from tfrobust.objectives import WorstCase
from tfrobust.threats.norms import threat_of


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    shared = ("model", "data", "norm", "epsilon", "state", "output_dir")
    options.define(values, *shared, needed="data epsilon output_dir")
    values[
        "model"
    ].help = "A .keras file or zoo:NAME to train; without it a small network."
    for name, usual, text in (
        ("epochs", 30, "Passes over the data."),
        ("batch_size", 64, "Examples of a step."),
    ):
        flags.DEFINE_integer(name, usual, text, 1, flag_values=values)
    flags.DEFINE_integer(
        "seed", 0, "Of weights and order.", 0, flag_values=values
    )


def run(values: flags.FlagValues, words: list[str]) -> None:
    """Trains, and writes the model and the history."""
    options.refuse_words(words)
    options.check_new("output_dir", values.output_dir)
    models.check("model", values.model)
    threat = threat_of(values.epsilon, values.norm)
    (x, y), validation = data.train_set(values.data, values.seed)
    keras.utils.set_random_seed(values.seed)
    if values.model:
        network = models.load_keras("model", values.model)
        model = (
            network
            if isinstance(network, RobustModel)
            else RobustModel(network)
        )
    else:
        classes = int(max(y.max(), validation[1].max())) + 1
        model = RobustModel(models.small_network(x.shape[1:], classes))
    model.compile(
        "adam",
        objective=WorstCase(PGD(threat)),
        adversaries=[PGD(threat, steps=20)],
    )
    kept = (
        [keras.callbacks.BackupAndRestore(values.state)] if values.state else []
    )
    fitted = model.fit(
        x,
        y,
        batch_size=values.batch_size,
        epochs=values.epochs,
        validation_data=validation,
        callbacks=kept,
        verbose=2,
    )
    with files.new_folder(values.output_dir) as folder:
        model.save(folder / "model.keras")
        _write(folder / "history.csv", fitted.epoch, fitted.history)
    _tell(values)


def _write(path: pathlib.Path, epochs, history):
    """Writes what `fit` logged, a line for each epoch."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows(zip(epochs, *history.values(), strict=True))


def _tell(values):
    """Says where the model lies, and what is next."""
    folder = values.output_dir
    rest = f"--data={values.data} --norm={values.norm} "
    rest += f"--epsilon={values.epsilon:g}"
    print(
        f"\nThe model: {folder}/model.keras. What fit logged: "
        f"{folder}/history.csv.\nNext: tfrobust evaluate "
        f"--model={folder}/model.keras {rest} --report={folder}/report"
    )
