"""Arithmetic on batches whose examples are flattened to rows."""

import tensorflow as tf


def flat(value):
    """Flattens each row: shape `[batch, features]`."""
    return tf.reshape(value, [tf.shape(value)[0], -1])


def spread(value, x):
    """Broadcasts to the shape of x and flattens each row."""
    return flat(tf.broadcast_to(value, tf.shape(x)))


def column(values, x):
    """Shapes one value for each example to broadcast against x."""
    return tf.reshape(values, [-1] + [1] * (len(x.shape) - 1))


def normalized(rows):
    """Returns rows scaled to a largest magnitude of 1, and the magnitudes."""
    size = tf.reduce_max(tf.abs(rows), axis=-1, keepdims=True)
    return tf.math.divide_no_nan(rows, size), size


def bisect(norm, largest, count=40):
    """Brackets the smallest `t` in `[0, largest]` with `norm(t) <= 1`.

    Args:
        norm: A decreasing function of `t`; both have shape `[..., 1]`.
        largest: A `t` that satisfies the bound, shape `[..., 1]`.
        count: Number of halvings; fixed, so that rows never interact.

    Returns:
        The failing and the passing end of the bracket. Using the passing end
        never exceeds the budget. Both are 0 where `norm(0) <= 1`.
    """
    start = tf.zeros_like(largest)
    idle = norm(start) <= 1

    def halve(failing, passing):
        middle = (failing + passing) / 2
        fits = norm(middle) <= 1
        passing = tf.where(fits, middle, passing)
        return tf.where(fits, failing, middle), passing

    # A loop, not its unrolling: graphs hold many of these.
    failing, passing = tf.while_loop(
        lambda *_: True, halve, (start, largest), maximum_iterations=count
    )
    return tf.where(idle, start, failing), tf.where(idle, start, passing)
