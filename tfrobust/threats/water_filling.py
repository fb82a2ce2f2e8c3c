"""Filling rows of features until a budget is spent: one unknown each.

Every function finds the level of a row at which a sum over its features meets
a bound, and ends on the side where it holds. A row depends on no other, and
each function works in the precision of what it is given.
"""

from collections.abc import Callable

import tensorflow as tf


def bisect(
    norm: Callable[[tf.Tensor], tf.Tensor], largest: tf.Tensor, count: int = 40
) -> tuple[tf.Tensor, tf.Tensor]:
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


def multiplier(
    squares: tf.Tensor, limits: tf.Tensor, count: int = 40
) -> tf.Tensor:
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
        free = total(tf.where(cut, 0.0, squares))
        left = 1 - total(tf.where(cut, limits, 0.0))
        found = tf.minimum(free / tf.maximum(left, 1e-30), square)
        further = moves & (found < square * (1 - 3e-7))
        return tf.where(moves, found, square), further

    start = total(squares)
    square, _ = tf.while_loop(
        lambda _, moves: tf.reduce_any(moves),
        step,
        (start, start > 0),
        maximum_iterations=count,
    )
    # Rounding must not add to the length.
    return tf.sqrt(square) * (1 + 3e-7)


def soft_threshold(
    sizes: tf.Tensor,
    room: tf.Tensor,
    scale: tf.Tensor | float = 1.0,
    count: int = 40,
) -> tf.Tensor:
    """The t at which `sum(min(sizes - t / scale, room) / scale)` is at most 1.

    What is negative counts as 0. It is the projection of `sizes` on the l1
    ball, of radius `scale`, and the room.

    Args:
        sizes: Shape `[..., features]`, not negative.
        room: The largest that each may be, in a shape that broadcasts.
        scale: Radius of the ball, in a shape that broadcasts.
        count: Number of halvings.
    """

    def norm(t):
        left = tf.minimum(tf.maximum(sizes - t / scale, 0.0), room)
        return total(left / scale)

    largest = tf.reduce_max(sizes * scale, axis=-1, keepdims=True)
    return bisect(norm, largest, count)[1]


def filled(
    gain: tf.Tensor,
    room: tf.Tensor,
    cost: tf.Tensor,
    budget: tf.Tensor | float = 1.0,
    count: int = 40,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills features in the order of their gains until the budget is spent.

    Args:
        gain: What decides who is first, shape `[..., features]`.
        room: What a feature takes in full, in the same shape.
        cost: What a feature that is full costs, likewise.
        budget: Shape `[..., 1]`.
        count: Number of halvings.

    Returns:
        What each takes, and the gain above which features are full. What
        these leave is shared by those tied at it.
    """
    failing, passing = _threshold(gain, cost, budget, count)
    full = gain > passing
    tied = (gain > failing) & (gain <= passing)
    left = budget - total(tf.where(full, cost, 0.0))
    share = tf.math.divide_no_nan(left, total(tf.where(tied, cost, 0.0)))
    share = tf.clip_by_value(share, 0.0, 1.0)
    return tf.where(full, room, tf.where(tied, share * room, 0.0)), passing


def price(
    gain: tf.Tensor, cost: tf.Tensor, budget: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """The largest gain of a feature that isn't filled, shape `[..., 1]`.

    It is the multiplier of the budget: the dual of the linear programme, of
    which any multiplier gives a bound.
    """
    _, passing = _threshold(gain, cost, budget)
    last = tf.where(gain > passing, tf.zeros_like(gain), gain)
    return tf.reduce_max(last, axis=-1, keepdims=True)


def _threshold(gain, cost, budget, count=40):
    """Brackets the gain above which features are filled completely."""

    def spent(t):
        return total(tf.where(gain > t, cost, 0.0)) / budget

    largest = tf.reduce_max(gain, axis=-1, keepdims=True)
    return bisect(spent, largest, count)


def grown(
    gain: tf.Tensor,
    room: tf.Tensor,
    level: tf.Tensor,
    speed: tf.Tensor | float,
) -> tf.Tensor:
    """Lets all features grow at their speeds until their gains reach a level.

    Args:
        gain: What a feature gains by its size, `[..., features]`, not negative.
        room: The largest size of each, in the same shape.
        level: Shape `[..., 1]`.
        speed: In a shape that broadcasts to that of `gain`.

    Returns:
        The sizes: `room` itself where it doesn't reach the level.
    """
    time = _growth(gain, room, level, speed)
    corner = total(gain * room) <= level
    return tf.where(corner, room, tf.minimum(speed * time, room))


def growth(
    gain: tf.Tensor,
    room: tf.Tensor,
    level: tf.Tensor,
    speed: tf.Tensor | float,
) -> tf.Tensor:
    """How long they grow, `[..., 1]`: differentiable, where it ends."""
    time = tf.stop_gradient(_growth(gain, room, level, speed))
    # At the root one more step has the root's own gradient: who grows is
    # constant.
    return _newton(time, gain * speed, gain * room, room, level, speed)


def _growth(gain, room, level, speed, steps=16):
    """Solves `sum(gain * min(speed * time, room)) = level`.

    The sum is concave in the time, so Newton's method comes from the left and
    never goes too far, wherever it is stopped. A step at least quarters the
    product of what is missing and the speed at which it shrinks, each as a
    share of the first: below 3e-10 after 16. Most rows are exact after 4, and
    rest then.
    """
    rest = 2e-7 if gain.dtype == tf.float32 else 4e-16
    rate, full = gain * speed, gain * room

    def step(time, moves):
        later = _newton(time, rate, full, room, level, speed)
        later = tf.minimum(later, 1e30)  # Finite: 0 times infinity isn't 0.
        further = moves & (later > time * (1 + rest))
        return tf.where(further, later, time), further

    time, _ = tf.while_loop(
        lambda _, moves: tf.reduce_any(moves),
        step,
        (tf.zeros_like(level), level > 0),
        maximum_iterations=steps,
    )
    return time


def _newton(time, rate, full, room, level, speed):
    """Where the line through what has grown at `time` meets the level."""
    grows = speed * time < room
    slope = total(tf.where(grows, rate, 0.0))
    missing = level - total(tf.where(~grows, full, 0.0))
    return tf.math.divide_no_nan(missing, slope)


def total(rows: tf.Tensor) -> tf.Tensor:
    """Sums along the last axis, which stays."""
    return tf.reduce_sum(rows, axis=-1, keepdims=True)
