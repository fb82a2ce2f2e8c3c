"""A SavedModel just written, loaded again and put to the test."""

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.batches import labelled
from tfrobust.evaluation.served import Served
from tfrobust.exporting import card
from tfrobust.exporting.answers import Answers
from tfrobust.exporting.attacked import attacked
from tfrobust.exporting.comparison import (
    TOLERANCE_OF_MARGINS,
    check_equal,
    probes,
)
from tfrobust.exporting.served_network import ABSTAINED

BATCH = 16  # Bounds take memory.


def check_reloaded(folder, network, spec, verifier, data, attack, answers):
    """Loads a SavedModel and compares its answers with the network's.

    Args:
        folder: Folder of the SavedModel.
        network: The Keras model that it came from.
        spec: `tf.TensorSpec` of its input.
        verifier: The `Verifier` of its signatures, or None.
        data: Inputs and labels to attack it on, or None.
        attack: The `Attack`.
        answers: What the outputs are, an `Answers`.

    Returns:
        What was found on the data, by name; None without data.

    Raises:
        ValueError: If an answer differs, or what it certified was attacked.
    """
    valid = (verifier.threat.low, verifier.threat.high) if verifier else ()
    x = probes(spec, *valid)
    found = _answers(folder, spec, x)
    expected = answers.named(network(x, training=False))
    _check_predicted(found["serving_default"], answers.kind, expected)
    if verifier:
        _check_certified(found, network, verifier, x)
    if data is None:
        return None
    served = Served(folder)
    clean, worst = attacked(served, network, attack, data)
    found = card.accuracies(clean, worst, attack)
    if verifier:
        certified = _certified(folder, network, verifier, data)
        found["certified_accuracy"] = float((certified & clean).mean())
        same = _alike(attack.threat, verifier.threat)
        broken = int(np.sum(certified & clean & ~worst))
        if same and broken:
            raise ValueError(
                "What the exported model certifies must stand every attack. "
                f"Received {broken} examples that it certifies and {attack!r} "
                "fools, so it was not kept. Please report this."
            )
    return found


def _answers(folder, spec, x):
    """What every signature answers on x, by signature and output."""
    model, x = tf.saved_model.load(str(folder)), {spec.name: tf.constant(x)}
    return {
        name: {key: value.numpy() for key, value in signature(**x).items()}
        for name, signature in model.signatures.items()
    }


def _check_predicted(found, kind, expected):
    """Compares each output of `serving_default`."""
    if kind == "numbers":
        check_equal("outputs", found["outputs"], expected["outputs"])
        return
    logits = found["logits"]
    check_equal("logits", logits, expected["logits"])
    # Of the logits that were found: rounding may tip those that are equal.
    again = Answers(kind).named(logits)
    check_equal("probabilities", found["probabilities"], again["probabilities"])
    for name, plural in {"class": "classes", "labels": "labels"}.items():
        if name in again:
            check_equal(plural, found[name], again[name], 0)


def _check_certified(answers, network, verifier, x):
    """Compares each output of both signatures with a certificate."""
    found = answers["certify"]
    y = answers["serving_default"]["class"]
    margins = np.array(verifier.margins(network, tf.constant(x), y))
    np.put_along_axis(margins, y[:, np.newaxis], np.inf, axis=1)
    finite = np.isfinite(margins).sum(axis=1) == margins.shape[1] - 1
    margin = np.where(finite, margins.min(axis=1), -np.inf)
    check_equal(
        "certified margins", found["margin"], margin, TOLERANCE_OF_MARGINS
    )
    certified = found["margin"] > 0
    known = np.isfinite(found["margin"])
    epsilon = np.full(len(x), np.max(verifier.threat.epsilon), np.float32)
    chosen = answers["predict_or_abstain"]["class"]
    for name, answer, expected in (
        ("certificates", found["certified"], certified),
        ("certified classes", found["class"], np.where(known, y, ABSTAINED)),
        ("epsilon", found["epsilon"], epsilon),
        ("classes or abstentions", chosen, np.where(certified, y, ABSTAINED)),
    ):
        check_equal(name, answer, expected, 0)


def _alike(one, other):
    """Whether two threats are the same set."""
    same = type(one) is type(other)
    return same and one.get_config() == other.get_config()


def _certified(folder, network, verifier, data):
    """Whether the class of each example is certified, `[n]`, bool."""
    x, _ = labelled(data, verifier.threat, network)
    certified = Served(folder, "certify", "certified")
    return np.concatenate(
        [certified(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    )
