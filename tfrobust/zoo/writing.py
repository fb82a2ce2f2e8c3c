"""Writing a network as the zoo holds it."""

import json
import pathlib
from typing import Any

import numpy as np

from tfrobust import checks, files
from tfrobust.averaging import network_of
from tfrobust.backend import keras
from tfrobust.evaluation import Report
from tfrobust.exporting import card
from tfrobust.types import Path
from tfrobust.zoo import chains

# What a report says of single examples stays out of the card.
_OF_EXAMPLES = "answers", "certificates", "verdicts"


def write(
    path: Path, model: keras.Model, report: Report, command: str
) -> pathlib.Path:
    """Writes a network and its card as the zoo holds them.

    What is written is read again and compared before it takes its place.

    Args:
        path: A new file, `NAME.npz`; the card, `NAME.npz.json`, comes to stand
            beside it.
        model: A `RobustModel` or a network, a chain of layers. Of a sparse or
            binary one certify and write `tfr.compression.plain(model)`.
        report: What `tfr.certify` or `tfr.evaluate` found on it.
        command: What trains and certifies it again.

    Returns:
        The path.

    Raises:
        FileExistsError: If there is a file.
        NotImplementedError: If the model has other layers, or layers with
            settings that the zoo doesn't write, such as a ReLU with a largest
            value.
        TypeError: If `report` or `command` isn't of its kind.
        ValueError: If `path` doesn't end in .npz, or the report is on other
            weights.

    Example:
        ```
        report = tfr.certify(model, (x, y), tfr.verifiers.ladder(linf))
        tfr.zoo.write("small.npz", model, report, "python train.py")
        ```
    """
    checks.kind(report, Report, "report", "what tfr.certify returns")
    checks.kind(command, str, "command", "'python train.py'")
    path = files.new_arrays(path)
    with network_of(model) as network:
        description = chains.described(network)
        with files.new_file(path, overwrite=False) as new:
            np.savez_compressed(new, **chains.weights_of(network))
            _compare(new, description, network)
            known = card.of_file(new, network, "NumPy", None, report)
            own = {"name": path.stem, "network": description}
            about = _short(known) | own | {"command": command}
            card.write(files.card_of(new), about)
    return path


def _short(known):
    """A card whose report is on these weights, without single examples."""
    if known["report_on_these_weights"] is False:
        raise ValueError(
            "`report` must be on the weights of the model. Received one on "
            "others: evaluate or certify it again."
        )
    report = known["report"]
    kept = {name: report[name] for name in report if name not in _OF_EXAMPLES}
    return known | {"report": kept}


def _compare(path, description: dict[str, Any], network):
    """Reads it again, from JSON as well, and compares what it computes."""
    copy = chains.built(json.loads(json.dumps(description)), "copy")
    with np.load(path) as weights:
        chains.set_weights(copy, weights)
    shape = [8, *description["input"]]
    x = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    found, expected = (np.asarray(made(x)) for made in (copy, network))
    if not np.array_equal(found, expected):
        raise ValueError(
            "`model` must be a chain of layers. Received one that computes "
            "something else than its layers one after the other."
        )
