"""Arithmetic on batches whose examples are flattened to rows."""

import tensorflow as tf


def flat(value):
    """Flattens each row: shape `[batch, features]`."""
    value = tf.convert_to_tensor(value)
    if value.shape.rank == 2:
        return value
    features = value.shape[1:].num_elements()
    if features:
        return tf.reshape(value, [-1, features])
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


def multiplier(squares, limits, count=40):
    """The smallest `t >= 0` with `sum(min(squares / t**2, limits)) <= 1`.

    So a row of these squares, divided by t and cut off where its squares
    exceed the limits, has at most length 1. The sum is a concave function of
    `1 / t**2`, made of lines, so Newton's method approaches the root from its
    passing side and never overshoots, wherever it ends. A row rests once it no
    longer moves, so that none depends on how many steps another needs.

    Args:
        squares: Shape `[..., features]`, not negative.
        limits: Not negative, in a shape that broadcasts.
        count: Largest number of steps.

    Returns:
        Shape `[..., 1]`; 0 where even the limits themselves are within.
    """

    def step(square, moves):
        cut = squares >= square * limits
        free = _sum(tf.where(cut, 0.0, squares))
        left = 1 - _sum(tf.where(cut, limits, 0.0))
        found = tf.minimum(free / tf.maximum(left, 1e-30), square)
        further = moves & (found < square * (1 - 3e-7))
        return tf.where(moves, found, square), further

    start = _sum(squares)
    square, _ = tf.while_loop(
        lambda _, moves: tf.reduce_any(moves),
        step,
        (start, start > 0),
        maximum_iterations=count,
    )
    # Rounding must not add to the length.
    return tf.sqrt(square) * (1 + 3e-7)


def _sum(rows):
    return tf.reduce_sum(rows, axis=-1, keepdims=True)
