"""Whatever can be evaluated, as a callable of logits."""

import contextlib
import pathlib

from tfrobust.evaluation.litert import LiteRT
from tfrobust.evaluation.served import Served
from tfrobust.model import RobustModel


def judged(model):
    """Returns a callable of logits, and a context in which to call it.

    Args:
        model: A `RobustModel`, whose averaged weights hold in the context; the
            folder of a SavedModel or the path of a .tflite file; or any
            callable, which is returned.

    Raises:
        FileNotFoundError: If there is nothing at a path.
    """
    if isinstance(model, RobustModel):
        return model.network, model.averaged()
    if isinstance(model, (str, pathlib.Path)):
        path = pathlib.Path(model)
        if not path.exists():
            raise FileNotFoundError(
                "`model` must be a model, a SavedModel's folder or a .tflite "
                f"file. Received: {model}, where there is nothing."
            )
        reader = LiteRT if path.suffix == ".tflite" else Served
        return reader(path), contextlib.nullcontext()
    return model, contextlib.nullcontext()
