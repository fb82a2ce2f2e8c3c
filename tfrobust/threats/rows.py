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


def solve(norm, largest, count=40, tolerance=5e-7):
    """The passing end of `bisect`, in a few steps for most norms.

    The reciprocal of the norm of what is shrunk by `1 / (1 + t)` is a line,
    so the secant of the reciprocal is followed (Illinois algorithm). A row
    rests once its norm is 1 to within the tolerance, never above, so that no
    row depends on how many steps another needs.

    Args:
        norm: As in `bisect`.
        largest: As in `bisect`.
        count: Largest number of steps.
        tolerance: How far below 1 the norm may be.
    """

    def excess(t):
        # Aims at the middle of what is tolerated.
        return 1 / tf.maximum(norm(t), 1e-30) - 1 - tolerance / 2

    def done(above):
        return above <= tolerance / 2

    def step(failing, passing, below, above, weights):
        low, high = weights[0] * below, weights[1] * above
        middle = failing + (passing - failing) * low / (low - high)
        found = excess(middle)
        moves = ~done(above)
        fits = moves & (found >= -tolerance / 2)
        fails = moves & ~fits
        # The end that stays a second time counts half.
        weights = (
            tf.where(fits, tf.where(weights[1] == 1, weights[0] / 2, 1.0), 1.0),
            tf.where(
                fails, tf.where(weights[0] == 1, weights[1] / 2, 1.0), 1.0
            ),
        )
        return (
            tf.where(fails, middle, failing),
            tf.where(fits, middle, passing),
            tf.where(fails, found, below),
            tf.where(fits, found, above),
            weights,
        )

    start, one = tf.zeros_like(largest), tf.ones_like(largest)
    below, above = excess(start), excess(largest)
    idle = below >= -tolerance / 2
    above = tf.where(idle, 0.0, above)
    passing = tf.while_loop(
        lambda failing, passing, below, above, weights: tf.reduce_any(
            ~done(above)
        ),
        step,
        (start, largest, below, above, (one, one)),
        maximum_iterations=count,
    )[1]
    return tf.where(idle, start, passing)
