"""Constrained maximisation by an augmented Lagrangian."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.adam import Adam

EVERY = 5  # Iterations between updates of the multipliers.
FACTOR, LEVELS = 5.0, 5  # The penalty grows fivefold, at five levels in all.
DECAY = 0.9, 0.99  # Adam's.


def augmented_lagrangian(
    objective: Callable[[tf.Tensor], tf.Tensor],
    constraints: Callable[[tf.Tensor], tf.Tensor],
    start: tf.Tensor,
    highest: tf.Tensor,
    multipliers: tf.Tensor,
    steps: int,
    step_size: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Maximises an objective of each row while its constraints stay positive.

    Minimises `-objective + sum_j(multiplier_j e_j + penalty / 2 e_j^2)` with
    `e_j = min(constraint_j, -multiplier_j / penalty)` by Adam, whose steps
    shrink to 0, and moves the multipliers by `penalty * e` now and then. Both
    functions should be of the order of 1. Rows never interact.

    Args:
        objective: Function of rows, returns `[batch]`.
        constraints: Function of rows, returns `[batch, constraints]`.
        start: Rows that satisfy the constraints, shape `[batch, variables]`.
        highest: Upper bounds of the rows, of the same shape.
        multipliers: Where the multipliers begin, at most 0, of the shape of
            the constraints.
        steps: Number of iterations.
        step_size: How far a variable moves in the first ones.

    Returns:
        The best rows seen that satisfy the constraints, and the last ones,
        which may miss them by a little.

    Reference: Liu et al., 2019, arXiv 1903.06603.
    """

    def iterate(step, rows, adam, multipliers, best, record):
        penalty = FACTOR ** tf.cast(step * LEVELS // steps, tf.float32)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(rows)
            value, constraint = objective(rows), constraints(rows)
            e = tf.minimum(constraint, -multipliers / penalty)
            price = tf.reduce_sum(multipliers * e + penalty / 2 * e**2, axis=1)
            loss = tf.reduce_sum(price - value)
        gradient = tape.gradient(loss, rows)

        better = tf.reduce_all(constraint > 0, axis=1) & (value > record)
        best = tf.where(better[:, tf.newaxis], rows, best)
        record = tf.where(better, value, record)

        due = tf.equal(step % EVERY, EVERY - 1)
        multipliers += tf.where(due, penalty * e, 0.0)

        size = step_size * (1 - adam.count / steps)
        uphill, adam = adam.step(gradient, DECAY)
        rows = tf.minimum(rows - size * uphill, highest)
        return step + 1, rows, adam, multipliers, best, record

    begin = tf.constant(0), start, Adam.begin(start), multipliers
    _, last, _, _, best, _ = tf.while_loop(
        lambda *_: True,
        iterate,
        (*begin, start, objective(start)),
        maximum_iterations=steps,
    )
    return best, last
