"""Exporting a model to TensorFlow Serving."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust import backend, files
from tfrobust.attack import Attack
from tfrobust.averaging import network_of
from tfrobust.backend import keras
from tfrobust.evaluation.report import Report
from tfrobust.exporting import card, server_files, warm_up
from tfrobust.exporting.answers import Answers
from tfrobust.exporting.problem import (
    check_answers,
    check_report,
    input_spec,
    resolved,
    stock,
)
from tfrobust.exporting.reloaded import check_reloaded
from tfrobust.exporting.served_network import ServedNetwork
from tfrobust.types import TensorLike
from tfrobust.verifier import Verifier


def export(
    model: keras.Model,
    base_path: str | os.PathLike,
    version: int | str | None = None,
    input_name: str = "image",
    packed: bool = True,
    certify: Verifier | None = None,
    data: tuple[TensorLike, TensorLike] | tf.data.Dataset | None = None,
    attack: Attack | None = None,
    report: Report | None = None,
) -> pathlib.Path:
    """Writes a SavedModel that needs neither tfrobust nor Keras to run.

    The signature `serving_default` takes `input_name`, shape `[batch, ...]`,
    float32, and gives `logits` and `probabilities`, shape `[batch, classes]`,
    and `class`, shape `[batch]`, int64. Of a `RobustModel` that was compiled
    for several labels it gives `logits`, `probabilities` (sigmoids) and
    `labels`, 0 or 1; of a regression `outputs`; of one logit those of two
    classes.

    With a verifier there are two more signatures: `certify` gives the `class`,
    whether it is `certified` for every input of the threat, the smallest
    certified `margin` to another class, and `epsilon`; `predict_or_abstain`
    gives the `class`, or -1 where it isn't certified. Both refuse, row by row,
    what is out of the threat's valid range or NaN, and logits or margins that
    aren't finite: such a row is of class -1 and not `certified`, with `margin`
    -inf, and its neighbours are answered.
    `serving_default` guards no values.

    Requests of another shape than the input's are an error. Empty ones get
    empty answers; of `serving_default` as far as TensorFlow's kernels bear
    them, which convolutions on some CPUs don't: then that is an error.

    Kernels of signs and zeros are stored as positions and signs, and unpacked
    once when the model is loaded. Beside the model are the requests that warm
    up TensorFlow Serving, and robustness_card.json; beside the versions,
    models.config and batching.config, unless they exist.

    The folder is loaded again and every output compared, under attack too if
    there is `data`, before it takes its place. What is refused leaves nothing.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), or a
            Keras model of logits; built, and with one input.
        base_path: Folder of the model; TensorFlow Serving watches it.
        version: Number of the version folder; by default one more than the
            highest that is there.
        input_name: Name of the input, a Python identifier.
        packed: Whether to pack kernels where that is smaller.
        certify: The `Verifier` of the signatures, of one fixed threat.
        data: A pair of arrays, inputs and integer labels, on which what was
            written is attacked; the accuracies go on the card.
        attack: The `Attack` on the data; by default PGD of 20 steps on the
            verifier's threat.
        report: A `Report` on the model, for the card.

    Returns:
        Path of the version folder, `base_path/version`.

    Raises:
        FileExistsError: If that version exists, or somebody else writes it in
            the meantime.
        TypeError: If `model` isn't a model of the Keras in use, or an argument
            isn't of its class.
        ValueError: If the model isn't built, takes anything but one input of
            floating point or answers with anything but finite logits, an
            argument isn't as expected, or the copy differs.

    Example:
        `tfr.export(model, "served", certify=tfr.verifiers.CROWN(threat))`
    """
    answers = Answers.of(model)
    answers.check(certify, data, attack)
    check_report(report)
    with network_of(model) as network:
        backend.check_network(network)
        seen = answers.network(network)
        spec = input_spec(network, input_name)
        check_answers(seen, spec, answers.kind)
        attack, data = resolved(seen, spec, certify, data, attack)
        path = _version_folder(pathlib.Path(base_path), version)
        with files.new_folder(path) as new:
            plain = answers.network(stock(network))
            served = ServedNetwork(plain, spec, packed, certify, answers)
            signatures = served.signatures()
            tf.saved_model.save(served, str(new), signatures)
            found = check_reloaded(
                new, seen, spec, certify, data, attack, answers
            )
            requests = dict.fromkeys(
                signatures, {input_name: _example(spec, certify)}
            )
            warm_up.write(new / "assets.extra", path.parent.name, requests)
            about = card.of_folder(new, plain, served, certify, found, report)
            card.write(files.card_of(new), about)
        server_files.write(path.parent)
        return path


def _example(spec, verifier):
    """An input to warm up a server with."""
    example = np.zeros([1, *(n or 32 for n in spec.shape[1:])], np.float32)
    if verifier is not None:
        example += np.clip(0.0, verifier.threat.low, verifier.threat.high)
    return example


def _version_folder(base_path, version):
    """The folder of `version`, or of the next one."""
    if version is None:
        names = [path.name for path in base_path.glob("*")]
        numbers = [int(name) for name in names if name.isdecimal()]
        version = max(numbers, default=0) + 1
    known = str(version)
    canonical = known.isdecimal() and known == str(int(known))
    if not canonical or int(known) >= 2**63:
        raise ValueError(
            "`version` must be a whole number, or TensorFlow Serving does not "
            f"see it. Received: version={version!r}"
        )
    path = base_path / known
    if path.exists():
        raise FileExistsError(
            f"{path} exists and is kept as it is. Choose another version, or "
            "leave `version` out for the next one."
        )
    return path
