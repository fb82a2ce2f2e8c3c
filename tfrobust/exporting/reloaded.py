"""A SavedModel just written, loaded again and put to the test."""

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.batches import labelled
from tfrobust.evaluation.served import Served
from tfrobust.exporting import card
from tfrobust.exporting.attacked import attacked
from tfrobust.exporting.comparison import (
    TOLERANCE_OF_MARGINS,
    check_equal,
    probes,
)

BATCH = 16  # Bounds take memory.


def check_reloaded(folder, network, spec, verifier, data, attack):
    """Loads a SavedModel and compares its answers with the network's.

    Args:
        folder: Folder of the SavedModel.
        network: The Keras model that it came from.
        spec: `tf.TensorSpec` of its input.
        verifier: The `Verifier` of its signatures, or None.
        data: Inputs and labels to attack it on, or None.
        attack: The `Attack`.

    Returns:
        What was found on the data, by name; None without data.

    Raises:
        ValueError: If an answer differs, or what it certified was attacked.
    """
    served = Served(folder)
    valid = (verifier.threat.low, verifier.threat.high) if verifier else ()
    x = probes(spec, *valid)
    logits = network(x, training=False)
    check_equal("logits", served(x), logits)
    if verifier:
        y = np.argmax(logits, axis=1)
        margins = np.array(verifier.margins(network, tf.constant(x), y))
        np.put_along_axis(margins, y[:, np.newaxis], np.inf, axis=1)
        found = Served(folder, "certify", "margin")(x)
        least = margins.min(axis=1)
        check_equal("certified margins", found, least, TOLERANCE_OF_MARGINS)
    if data is None:
        return None
    clean, worst = attacked(served, network, attack, data)
    found = card.accuracies(clean, worst, attack)
    if verifier:
        certified = _certified(folder, network, verifier, data)
        found["certified_accuracy"] = float((certified & clean).mean())
        same = repr(attack.threat) == repr(verifier.threat)
        broken = int(np.sum(certified & clean & ~worst))
        if same and broken:
            raise ValueError(
                "What the exported model certifies must stand every attack. "
                f"Received {broken} examples that it certifies and {attack!r} "
                "fools, so it was not kept. Please report this."
            )
    return found


def _certified(folder, network, verifier, data):
    """Whether the class of each example is certified, `[n]`, bool."""
    x, _ = labelled(data, verifier.threat, network)
    certified = Served(folder, "certify", "certified")
    return np.concatenate(
        [certified(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    )
