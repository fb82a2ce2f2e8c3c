"""`tfrobust card`: shows the robustness card of an exported model."""

import json

from absl import flags

from tfrobust import files
from tfrobust.commands import options


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    options.define(values, "model")
    values["model"].help = (
        "The folder of a SavedModel or a .tflite file, or a word: "
        "tfrobust card served/1"
    )


def run(values: flags.FlagValues, words: list[str]) -> None:
    """Prints what the card says, files and reports left out."""
    named = [*words, *([values.model] if values.model else [])]
    if len(named) != 1:
        raise ValueError(f"Name one exported model. Received: {named}")
    path = files.card_of(named[0])
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no card at {path}. tfr.export and tfr.export_litert "
            "write it beside what they export."
        )
    files.check_hash(named[0])
    card = json.loads(path.read_text("utf-8"))
    for name, value in card.items():
        if name in ("sha256", "kernels", "report") or value is None:
            continue
        if isinstance(value, dict):
            value = "; ".join(f"{key}: {held}" for key, held in value.items())
        print(f"{name:<24} {value}")
    print(f"\nThe files are as they were written. All of the card: {path}")
