"""Which weights are kept: those of the largest scores."""

import tensorflow as tf

from tfrobust.tracing import one_op


def kept_count(size: int, density: float) -> int:
    """How many of `size` weights are kept: what is removed rounds down."""
    return size - int((1 - density) * size)


def top_k_mask(scores: tf.Tensor, kept: int) -> tf.Tensor:
    """Marks the `kept` scores of largest magnitude with 1, others with 0.

    Of equal magnitudes the first are kept, so the count is exact. It is a
    radix selection, whose time doesn't depend on `kept`; tf.math.top_k takes
    ten times as long to keep a tenth of three million.

    Args:
        scores: Finite float32 tensor of any shape.
        kept: Integer from 1 to the number of scores.
    """
    # The bits of floats that aren't negative are ordered as the floats are.
    keys = tf.bitcast(tf.abs(tf.reshape(scores, [-1])), tf.int32)
    return tf.cast(tf.reshape(_largest(keys, kept), scores.shape), scores.dtype)


@one_op(tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32))
def _largest(keys, kept):
    """Marks the `kept` largest keys; of equal ones the first."""
    threshold, rank = _select(keys, kept)

    def first_of_equals():
        equal = keys == threshold
        order = tf.cumsum(tf.cast(equal, tf.int32))
        return (keys > threshold) | (equal & (order <= rank))

    count = tf.math.count_nonzero(keys >= threshold, dtype=tf.int32)
    return tf.cond(count == kept, lambda: keys >= threshold, first_of_equals)


def _select(keys, rank):
    """Finds the key of some rank from above, byte by byte.

    Returns:
        The key, and the rank among the keys that equal it.
    """

    def add_byte(start, prefix, rank):
        rest = tf.bitwise.right_shift(keys, start)
        matches = tf.bitwise.right_shift(rest, 8) == prefix
        # tf.math.bincount works its size out from the values, and XLA refuses.
        histogram = tf.raw_ops.DenseBincount(
            input=rest & 255, size=256, weights=tf.cast(matches, tf.int32)
        )
        from_above = tf.cumsum(histogram, reverse=True)
        byte = tf.math.count_nonzero(from_above >= rank, dtype=tf.int32) - 1
        rank -= from_above[byte] - histogram[byte]
        return start - 8, prefix * 256 + byte, rank

    # A loop, since XLA would repeat earlier bytes for each key of later ones.
    return tf.while_loop(lambda start, *_: start >= 0, add_byte, (24, 0, rank))[
        1:
    ]
