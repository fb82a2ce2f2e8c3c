"""One adversary of an evaluation, which remembers its answers."""

import numpy as np

from tfrobust.evaluation.adversaries import nature
from tfrobust.evaluation.row import Row

PICTURES = 10
_KEPT = "correct", "norm", "inside", "finite", "predicted"
_PROVEN = "correct", "norm", "inside", "finite", "falsified", "margin", "radius"
_SHOWN = "point", "predicted", "label"


class Stage:
    """Runs one adversary on the examples of which nothing is known yet.

    Args:
        name: Its name in the report, and in the state.
        runner: The `Runner`.
        state: The `State` that keeps the answers.
        needed: Function of positions in the data that tells which of them it
            is to run on, by what stages before it answered.
        ensemble: The name of the row that it is a component of, or None.
    """

    def __init__(self, name, runner, state, needed, ensemble=None):
        self.name, self.runner, self.adversary = name, runner, runner.adversary
        self.needed, self.ensemble = needed, ensemble
        self._state, self._answers = state, (name, _at(1.0))

    def __call__(self, x, y, index, multiple=1.0):
        """Returns which examples are right, shape `[n]`, bool.

        Args:
            x: Inputs, shape `[n, ...]`.
            y: Labels, shape `[n]`.
            index: Positions of the examples in the data, shape `[n]`.
            multiple: By what the threat's epsilon is multiplied.
        """
        # Of the points of a curve, one is that of the report's row.
        answers = self.name, _at(multiple)
        todo = np.flatnonzero(~self._state.known(answers, index))
        size = self.runner.size if len(todo) else 1
        for begin in range(0, len(todo), size):
            part = todo[begin : begin + size]
            before = self.runner.cost()
            answer = self._run(x[part], y[part], multiple)
            cost = self.runner.cost() - before
            proven = "margin" in answer
            kept = {k: answer[k] for k in (_PROVEN if proven else _KEPT)}
            self._state.put(answers, index[part], kept, cost)
            first = index[part] < PICTURES
            if first.any() and not proven:
                shown = {k: answer[k][first] for k in _SHOWN}
                where = *answers, "shown"
                self._state.put(where, index[part][first], shown)
            self._state.save()
        return self._state.take(answers, index, "correct", bool)

    def right(self, index):
        """Which examples are right for all that it found; no others."""
        return self.take("correct", index, bool)

    def known(self, index):
        """Which examples it ran on."""
        return self._state.known(self._answers, index)

    def take(self, name, index, dtype=np.float32):
        """One of its answers for each example, 0 where it didn't run."""
        return self._state.take(self._answers, index, name, dtype)

    def row(self, count, standing=True):
        """The `Row` of the report.

        Args:
            count: Number of examples.
            standing: Which of them are right before this, shape `[count]`;
                True for all.
        """
        index = np.arange(count)
        correct = self.right(index) & standing
        index = index[self.known(index)]
        forwards, backwards, seconds = np.zeros(3) + self._state.cost(
            self._answers
        )
        return Row(
            self.name,
            correct,
            ensemble=self.ensemble,
            largest_norm=float(np.max(self.take("norm", index), initial=0.0)),
            inside=bool(np.all(self.take("inside", index))),
            finite=bool(np.all(self.take("finite", index))),
            forwards=int(forwards),
            backwards=int(backwards),
            seconds=float(seconds),
            **nature(self.adversary),
        )

    def pictures(self, shown):
        """Puts its answers for the first examples over those `shown`."""
        stage = *self._answers, "shown"
        index = np.arange(PICTURES)
        index = index[self._state.known(stage, index)]
        found = {k: self._state.take(stage, index, k, None) for k in _SHOWN}
        if shown is None:
            return found
        for key, rows in shown.items() if len(index) else ():
            rows[index] = found[key]
        return shown

    def _run(self, x, y, multiple):
        epsilon = None
        radius = self.adversary and self.adversary.threat.epsilon
        if radius is not None:
            epsilon = multiple * np.asarray(radius)
        return {**self.runner(x, y, epsilon), "label": y}


def _at(multiple):
    """What no other multiple of epsilon is called."""
    return f"{float(multiple)!r} epsilon"
