"""The flags that commands share: one name and one meaning each."""

import pathlib

from absl import flags

from tfrobust.threats.norms import NORMS

_TEXTS = {
    "model": "A .keras or .tflite file, a SavedModel's folder, or zoo:NAME.",
    "data": "An .npz file of x and y, or of x_train, y_train, x_test and "
    "y_test; bytes become [0, 1]. Or digits, those of scikit-learn.",
    "state": "What a run that is stopped goes on from.",
    "report": "New folder for the report.",
    "output_dir": "Folder to write.",
}


def define(values: flags.FlagValues, *names: str, needed: str = "") -> None:
    """Defines shared flags.

    Args:
        values: Where.
        *names: Their names.
        needed: Those of them that must be given, between spaces.
    """
    for name in names:
        if name == "norm":
            flags.DEFINE_enum(
                name, "linf", [*NORMS], "Norm of epsilon.", flag_values=values
            )
        elif name == "epsilon":
            text = "Radius, in the units of inputs in [0, 1]."
            flags.DEFINE_float(name, None, text, 0.0, flag_values=values)
        elif name == "limit":
            text = "How many examples, the first ones."
            flags.DEFINE_integer(name, None, text, 1, flag_values=values)
        else:
            flags.DEFINE_string(name, None, _TEXTS[name], flag_values=values)
    for name in needed.split():
        flags.register_validator(
            name,
            lambda value: value is not None,
            "it must be given.",
            flag_values=values,
        )


def check_new(name: str, path: str | None) -> None:
    """Refuses to write where something is."""
    if path is not None and pathlib.Path(path).exists():
        raise FileExistsError(f"--{name}={path} exists. Name a new folder.")


def refuse_words(words: list[str]) -> None:
    """Refuses arguments that are no flags."""
    if words:
        raise ValueError(f"Unexpected arguments: {words}. Flags begin with --.")
