"""Projected gradient descent."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import (
    choose,
    on_active,
    while_active,
    worse,
)
from tfrobust.backend import Schedule, register
from tfrobust.gradients import input_gradient
from tfrobust.threats import Threat
from tfrobust.threats.rows import column
from tfrobust.types import TensorLike


@register
class PGD(Attack):
    """Projected gradient descent.

    Args:
        threat: The set to search, a `Threat`.
        steps: Number of ascent steps, at least 1.
        step_size: Length of a step as a fraction of the threat's epsilon, so
            that it follows an epsilon that moves; one number, a schedule of
            it, or one for each example, shape `[batch]`.
        random_start: How far to start from x, as a fraction of the way to a
            random point of the threat; 0 starts at x.
        restarts: Number of runs, of which the worst point is kept.
        momentum: Decay of the accumulated gradients, each divided by its mean
            magnitude; 0 uses the current gradient alone.
        targeted: Whether `y` names the class to reach instead of the true
            one, so that the loss is descended.
        best: Whether to return the iterate of largest loss, final one
            included, at the price of one more forward pass; otherwise the
            last iterate. More than one restart needs it.
        loss: What to ascend: `"cross_entropy"`, by the odds that it grows
            with, so that it neither saturates nor rounds to one number;
            `"margin"`, `"dlr"`, a Keras loss on the model's outputs (for
            regression, say) or any function `(y, outputs) -> [batch]`.
        early_stop: Whether an example is finished, and no longer computed,
            at the first iterate that is misclassified (that has class `y` if
            `targeted`): the same accuracy in less time, at no point of
            largest loss. Needs integer labels and `best`.
        seed: Integer that keys the random starts.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`, or what `loss` compares with.

    Raises:
        ValueError: If an argument is out of its range, or no gradient reaches
            the model's input.

    Example:
        `tfr.attacks.PGD(tfr.threats.Linf(8 / 255), steps=20)`

    Reference: Madry et al., 2018, arXiv 1706.06083, equation 2.1; momentum:
    Dong et al., 2018, arXiv 1710.06081, equation 6.
    """

    takes_start = True
    per_example = ("step_size",)

    def __init__(
        self,
        threat: Threat,
        steps: int = 10,
        step_size: TensorLike = 0.25,
        random_start: float = 1.0,
        restarts: int = 1,
        momentum: float = 0.0,
        targeted: bool = False,
        best: bool = True,
        loss: str | Callable[..., Any] = "cross_entropy",
        early_stop: bool = False,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        checks.count(steps, "steps")
        _check_size(step_size)
        checks.number(random_start, "random_start", 0, 1)
        checks.count(restarts, "restarts")
        checks.number(momentum, "momentum", 0)
        checks.argument(
            best or restarts == 1, "restarts", "be 1 if best=False", restarts
        )
        checks.argument(
            best or not early_stop,
            "early_stop",
            "be False if best=False",
            early_stop,
        )
        losses.get(loss)
        self.threat = threat
        self.steps, self.step_size = steps, step_size
        self.random_start, self.restarts = random_start, restarts
        self.momentum, self.targeted, self.best = momentum, targeted, best
        self.loss, self.early_stop, self.seed = loss, early_stop, seed

    def _perturb(self, model, x, y, start, step):
        def run(number, found):
            begin = self.start_of(x, step, number)
            if start is not None:
                begin = tf.where(number == 0, start, begin)
            return self._climb(model, x, y, begin, found)

        def restart(number, *found):
            return number + 1, *worse(run(number, found), found)

        found = (x, _lowest(x)) if self.best else ()
        if self.restarts == 1:
            return run(0, found)[0]
        return tf.while_loop(
            lambda _, point, loss: tf.reduce_any(_active(loss)),
            restart,
            (0, *found),
            maximum_iterations=self.restarts,
        )[1]

    def start_of(
        self, x: tf.Tensor, step: TensorLike, number: TensorLike = 0
    ) -> tf.Tensor:
        """Where the restart of that number begins, at a training step."""
        if self.random_start == 0:
            return x
        seed = streams.fold(streams.fold(self.seed, step), number)
        move = self.threat.sample(x, seed) - x
        # Rounding may lead out of the range.
        box = self.threat.box(x)
        return tf.clip_by_value(x + self.random_start * move, *box)

    def _climb(self, model, x, y, start, found):
        """Returns a point, and its loss if `best`, from one start."""
        velocity = tf.zeros_like(x) if self.momentum else ()
        if self.best:
            done = tf.where(_active(found[1]), -math.inf, math.inf)
            found = (start, done)

        def step(number, state, attack, x, y, box):
            threat, size = attack.threat, column(attack.step_size, x)
            point, velocity, found = state
            values, outputs, gradient = input_gradient(
                model, point, lambda outputs: self._ascended(y, outputs)
            )
            judged = self._judged(y, values, outputs)
            if self.best:
                found = worse((point, judged), found)
            if self.momentum:
                axes = list(range(1, x.shape.rank))
                mean = tf.reduce_mean(tf.abs(gradient), axes, keepdims=True)
                gradient = tf.math.divide_no_nan(gradient, mean)
                gradient += self.momentum * velocity
                velocity = gradient
            moved = threat.ascend(x, point, gradient, size)
            moved = threat.project(x, moved, box)
            if not self.best:
                moved = choose(_active(judged), moved, point)
            return tf.ensure_shape(moved, x.shape), velocity, found

        def last(state, attack, x, y):
            point, _, found = state
            outputs = tf.cast(model(point, training=False), tf.float32)
            values = self._judged(y, self._ascended(y, outputs), outputs)
            return *state[:2], worse((point, values), found)

        state, problem = (start, velocity, found), (self, x, y)
        active = (
            (lambda state: _active(state[2][1])) if self.early_stop else None
        )
        box = self.threat.box(x)
        state = while_active(step, active, self.steps, state, *problem, box)
        if not self.best:
            return state[:1]
        left = active(state) if active else None
        return on_active(last, left, state, *problem)[2]

    def _ascended(self, y, outputs):
        values = severity.ascended(self.loss, y, outputs)
        return -values if self.targeted else values

    def _judged(self, y, values, outputs):
        """The losses, infinite where the search is over: nothing is worse."""
        if not self.early_stop:
            return severity.judged(values, outputs)
        lead = losses.margin(y, outputs)
        over = (-lead if self.targeted else lead) > 0
        return severity.judged(values, outputs, over)


def _check_size(step_size):
    """Refuses step sizes that aren't positive, if they are known yet."""
    checks.argument(
        len(np.shape(step_size)) <= 1,
        "step_size",
        "be one number, or one for each example",
        step_size,
    )
    if tf.is_tensor(step_size) or isinstance(step_size, Schedule):
        return
    for size in np.ravel(step_size).tolist():
        checks.positive(size, "step_size")


def _lowest(x):
    """Losses that every other exceeds, shape `[batch]`."""
    return tf.fill(tf.shape(x)[:1], -math.inf)


def _active(loss):
    return loss < math.inf
