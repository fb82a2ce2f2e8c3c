"""Whether bounds hold at corners and inner points, of small random networks."""

import numpy as np
import tensorflow as tf

from tfrobust import verifiers
from tfrobust.threats import Box

KINDS = verifiers.IBP, verifiers.CROWNIBP, verifiers.CROWN


def slack(function, shape, low=-2.0, high=2.0, kinds=KINDS, seed=0, widest=1.0):
    """How far bounds are below what is seen, at most, `[kinds]`.

    A random linear layer follows the function; the boxes are of any width.

    Args:
        function: A function of a tensor `[batch, *shape]`.
        shape: Shape of one input.
        low: Smallest value of an input.
        high: Largest value of an input.
        kinds: Classes of verifiers.
        seed: Of what is drawn.
        widest: The largest radius, as a share of the range.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (6, *shape)).astype(np.float32)
    widths = widest * np.array([1e-5, 1e-3, 0.01, 0.1, 0.4, 1.0])
    widths = np.reshape(widths * (high - low), [6] + [1] * len(shape))
    radius = np.float32(widths * rng.uniform(0.2, 1, x.shape))
    size = np.prod(function(tf.constant(x[:1])).shape[1:], dtype=int)
    head = tf.constant(rng.normal(size=(size, 3)), tf.float32)

    def model(x, training=False):
        return tf.matmul(tf.reshape(function(x), [-1, size]), head)

    y, seen = rng.integers(0, 3, 6), np.full((6, 3), np.inf)
    shares = rng.uniform(-1, 1, (100, *x.shape))
    shares[:50] = np.sign(shares[:50])
    for share in shares:
        point = np.clip(x + share.astype(np.float32) * radius, low, high)
        logits = model(tf.constant(point, tf.float32)).numpy()
        true = np.take_along_axis(logits, y[:, np.newaxis], axis=1)
        seen = np.minimum(seen, true - logits)
    found = []
    for kind in kinds:
        margins = kind(Box(radius, low, high)).margins(model, x, y).numpy()
        assert np.all(margins <= seen), (kind.__name__, margins, seen)
        found.append(np.max(seen - margins))
    return np.array(found)
