"""Auto-PGD."""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.active import on_active, while_active, worse
from tfrobust.attacks.boundary import wrong_classes
from tfrobust.attacks.climb import Climb
from tfrobust.attacks.course import Course
from tfrobust.attacks.momentum_rule import MomentumRule
from tfrobust.attacks.sparse_rule import SparseRule
from tfrobust.backend import register
from tfrobust.gradients import input_gradient
from tfrobust.threats import Threat


@register
class APGD(Attack):
    """Auto-PGD, which finds its step size by itself.

    A step starts out at twice epsilon. At checkpoints, an example whose loss
    no longer grows halves it and goes on from its best iterate. Under l1 the
    steps are sparse, and their sparsity adapts too.

    Args:
        threat: The set to search, a `Threat`.
        steps: Number of ascent steps in a run, at least 1.
        loss: What to ascend, as in `PGD`; with `targets` it is always the
            targeted DLR loss, and this keeps its default.
        restarts: Number of runs from random starts, of which the worst point
            is kept.
        targets: 0, or how many of the most likely wrong classes to aim at
            (APGD-T), in a run each for every restart; no more than there are.
        rho: Fraction of the steps between two checkpoints that must raise the
            loss, or else the step size halves; linf and l2 only.
        multi_epsilon: Whether a run begins in balls of 3 and 2 times epsilon,
            for 30 % of the steps each; None does so under l1 if `early_stop`.
        averages: Number of forward passes that the loss, its gradient and
            the logits are the mean of. More than 1 is for models that are
            random themselves (expectation over transformation).
        early_stop: Whether an example is finished, and no longer computed,
            at the first point that is misclassified, be it x itself: right
            for accuracy. False returns the point of largest loss: right for
            training and for other tasks than classification. It also keeps
            shapes static, for XLA.
        seed: Integer that keys the random starts.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`, or, without `early_stop` and
            `targets`, what `loss` compares with.

    Raises:
        ValueError: If an argument is out of its range, there are fewer than 4
            classes for `targets` or 3 for `"dlr"`, or no gradient reaches the
            model's input.

    Example:
        `tfr.attacks.APGD(tfr.threats.Linf(8 / 255), targets=9)`

    Reference: Croce and Hein, 2020, arXiv 2003.01690, algorithm 1; l1: Croce
    and Hein, 2021, arXiv 2103.01208, section 3.
    """

    takes_start = True

    def __init__(
        self,
        threat: Threat,
        steps: int = 100,
        loss: str | Callable[..., Any] = "cross_entropy",
        restarts: int = 1,
        targets: int = 0,
        rho: float = 0.75,
        multi_epsilon: bool | None = None,
        averages: int = 1,
        early_stop: bool = True,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        counts = {"steps": steps, "restarts": restarts, "averages": averages}
        for name, value in counts.items():
            checks.count(value, name)
        checks.count(targets, "targets", least=0)
        checks.number(rho, "rho", 0, 1)
        checks.argument(
            not targets or loss == "cross_entropy",
            "loss",
            'keep its default "cross_entropy" if there are `targets`, at '
            "which the targeted DLR loss aims",
            loss,
        )
        losses.get(loss)
        self.threat, self.steps, self.loss = threat, steps, loss
        self.restarts, self.targets, self.rho = restarts, targets, rho
        self.multi_epsilon, self.averages = multi_epsilon, averages
        self.early_stop, self.seed = early_stop, seed

    def _perturb(self, model, x, y, start, step):
        y = tf.convert_to_tensor(y)
        x.shape[:1].assert_is_compatible_with(y.shape[:1])
        found = x, tf.fill(tf.shape(x)[:1], -math.inf)
        labels, count = (y,), 1
        if self.early_stop or self.targets:
            (clean,) = _mean(lambda: (self.logits(model, x, y),), self.averages)
            labels = (checks.labels(y, clean),)
            found = x, self._judged(labels, found[1], clean)
        if self.targets:
            goals = wrong_classes(*labels, clean, self.targets)
            count = goals.shape[1]
        seed = streams.fold(self.seed, step)

        def run(number, *found):
            goal = []
            if self.targets:
                goal = [tf.gather(goals, number % count, axis=1)]

            def begin(drawn):
                if start is None:
                    return drawn
                return tf.where(number < count, start, drawn)

            run_seed, aim = streams.fold(seed, number), (*labels, *goal)
            climbed = self._climb(model, x, aim, found, run_seed, begin)
            return number + 1, *worse(climbed, found)

        return tf.while_loop(
            lambda _, point, loss: tf.reduce_any(loss < math.inf),
            run,
            (0, *found),
            maximum_iterations=self.restarts * count,
        )[1]

    def _climb(self, model, x, labels, found, seed, begin):
        """Returns the worst point of one run, and its loss."""
        sparse = self.threat.is_sparse
        rule = SparseRule if sparse else MomentumRule
        several = self.multi_epsilon
        if several is None:
            several = self.early_stop and sparse
        course = Course.plan(rule, self.steps, self.rho, several)
        threat = _scaled(self.threat, x, course.factor[0])
        point = begin(rule.start(threat, x, seed))
        # As sparse as the start, like every later ball, if there are several.
        share = None if course.several else (0.2 if self.early_stop else 0.05)
        climb = Climb.begin(rule.begin(x, point, share), point, found[1])

        problem = self.threat, x, *labels
        step = functools.partial(self._step, model, course)
        active = Climb.active if self.early_stop else None
        climb = while_active(step, active, self.steps, climb, *problem)
        last = functools.partial(self._last, model)
        left = climb.active() if self.early_stop else None
        climb = on_active(last, left, climb, *problem)
        return climb.best, climb.best_loss

    def _step(self, model, course, number, climb, threat, x, *labels):
        first, factor, rises = (
            tf.gather(entries, number) for entries in course
        )
        if course.several:
            threat = _scaled(threat, x, factor)
            climb = tf.cond(
                first & (number > 0),
                lambda: climb.shrink(threat, x),
                lambda: climb,
            )
        ascended = functools.partial(self._losses, labels)
        loss, logits, gradient = _mean(
            lambda: input_gradient(model, climb.point, ascended), self.averages
        )
        loss = self._judged(labels, loss, logits, factor == 1)
        climb = climb.observe(loss, gradient)
        climb = tf.cond(rises < 0, lambda: climb, lambda: climb.check(x, rises))
        return climb.step(threat, x, first)

    def _last(self, model, climb, threat, x, *labels):
        def measure():
            logits = self.logits(model, climb.point, labels[0])
            return self._losses(labels, logits), logits

        loss = self._judged(labels, *_mean(measure, self.averages))
        return climb.observe(loss, climb.gradient)

    def _losses(self, labels, logits):
        if self.targets:
            y, target = labels
            return losses.targeted_dlr(y, target, logits)
        if self.averages > 1:  # The mean of the odds is another's loss.
            loss = losses.get(self.loss)
            return losses.per_example(loss, labels[0], logits)
        return severity.ascended(self.loss, labels[0], logits)

    def _judged(self, labels, loss, logits, inside=True):
        """The losses, infinite at what is over: nothing is worse.

        A point outside of the threat never is, however large its loss.
        """
        over = False
        if self.early_stop:
            over = losses.margin(labels[0], logits) > 0
        worst = severity.judged(loss, logits, over)
        largest = severity.judged(loss, logits)
        largest = tf.minimum(largest, loss.dtype.max)
        return tf.where(inside, worst, largest)


def _scaled(threat, x, factor):
    return threat._replace(epsilon=factor * threat.radii(x))


def _mean(measure, count):
    """The mean of what `measure` returns in several calls, a tuple."""
    first = measure()
    if count == 1:
        return first
    totals = tf.while_loop(
        lambda *_: True,
        lambda *totals: tuple(map(tf.add, totals, measure())),
        first,
        maximum_iterations=count - 1,
    )
    return [total / count for total in totals]
