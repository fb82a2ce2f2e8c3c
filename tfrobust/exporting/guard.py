"""What a signature does with requests that it cannot answer."""

import tensorflow as tf

# How far beyond the valid range rounding may carry an input, as elsewhere.
TOLERANCE = 1e-6


def shaped(x, spec):
    """Refuses a batch of another shape than a `tf.TensorSpec`'s.

    Everything else reads what this returns, so it runs before any kernel:
    some of them end the whole process if an axis is missing.
    """
    return tf.ensure_shape(x, spec.shape)


def filled(x, spec):
    """Appends a row of zeros to an empty batch: bounds need an example."""
    shape = tf.shape(x)
    missing = tf.cast(tf.equal(shape[:1], 0), tf.int32)
    filler = tf.zeros(tf.concat([missing, shape[1:]], axis=0))
    return tf.ensure_shape(tf.concat([x, filler], axis=0), spec.shape)


def admitted(x, threat):
    """Puts a valid input in the place of each that is out of range or NaN.

    So whoever reads the batch refuses no row because of another.

    Args:
        x: Inputs, shape `[batch, ...]`.
        threat: The `Threat` in whose range they should be.

    Returns:
        The inputs, and which of them are the original ones, `[batch]`, bool.
    """
    # NaN compares false with everything.
    inside = (x >= threat.low - TOLERANCE) & (x <= threat.high + TOLERANCE)
    inside = every(inside)
    valid = tf.clip_by_value(tf.zeros_like(x), threat.low, threat.high)
    rows = tf.reshape(inside, [-1] + [1] * (x.shape.rank - 1))
    return tf.where(rows, x, valid), inside


def every(condition):
    """Whether a condition holds for all of a row, `[batch]`, bool."""
    return tf.reduce_all(condition, axis=list(range(1, condition.shape.rank)))
