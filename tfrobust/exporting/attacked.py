"""An artefact under attack, example by example."""

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.batches import labelled
from tfrobust.exporting.comparison import TOLERANCE, check_equal
from tfrobust.tracing import compiled

BATCH = 64


def attacked(artefact, network, attack, data, through=None, tolerance=None):
    """Attacks an artefact, and compares it with its original all the way.

    Args:
        artefact: Callable `artefact(x, training=False) -> logits`, reloaded.
        network: The original.
        attack: The `Attack`.
        data: A pair of arrays, inputs in the threat's range and labels.
        through: The callable whose gradients the attack follows, the
            artefact's own if None.
        tolerance: See `comparison.check_equal`.

    Returns:
        Which examples the artefact gets right, and which also at the points
        that the attack found, each `[n]`, bool.

    Raises:
        ValueError: If the data isn't as expected, or the artefact's logits
            differ, clean or attacked.
    """
    x, y = labelled(data, attack.threat, network)
    tolerance = TOLERANCE if tolerance is None else tolerance
    perturb = compiled(
        lambda x, y: attack.perturb(through or artefact, x, y),
        tf.TensorSpec([None, *x.shape[1:]], tf.float32),
        tf.TensorSpec([None], tf.int32),
    ).get_concrete_function()
    verdicts = []
    for start in range(0, len(x), BATCH):
        clean, label = x[start : start + BATCH], y[start : start + BATCH]
        found = perturb(tf.constant(clean), tf.constant(label)).numpy()
        right = []
        for points in (clean, found):
            logits = np.asarray(artefact(points, training=False))
            expected = network(points, training=False)
            check_equal("logits", logits, expected, tolerance)
            right.append(logits.argmax(axis=1) == label)
        verdicts.append((right[0], right[0] & right[1]))
    clean, worst = zip(*verdicts, strict=True)
    return np.concatenate(clean), np.concatenate(worst)
