"""One adversary of an evaluation, which remembers its answers."""

import numpy as np

from tfrobust.evaluation.adversaries import nature
from tfrobust.evaluation.report import Row

PICTURES = 10
_VERDICTS = ("correct", "norm", "inside", "finite", "predicted")
_SHOWN = ("point", "predicted", "label")


class Stage:
    """Runs one adversary on the examples of which nothing is known yet.

    Args:
        name: Its name in the report, and in the state.
        runner: The compiled `Runner`.
        state: The `State` that keeps the answers.
        ensemble: The name of the row that it is a component of, or None.
    """

    def __init__(self, name, runner, state, ensemble=None):
        self.name, self.runner, self.adversary = name, runner, runner.adversary
        self.ensemble = ensemble
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
        todo = ~self._state.known(answers, index)
        if todo.any():
            before = self.runner.cost()
            answer = self._run(x[todo], y[todo], multiple)
            cost = self.runner.cost() - before
            self._put(answers, index[todo], answer, _VERDICTS, cost)
            first = index[todo] < PICTURES
            answer = {k: v[first] for k, v in answer.items()}
            shown = *answers, "shown"
            self._put(shown, index[todo][first], answer, _SHOWN)
            self._state.save()
        return self._state.take(answers, index, "correct", bool)

    def inside(self, index):
        """Which of its points are known to lie in the threat."""
        return self._state.take(self._answers, index, "inside", bool)

    def predicted(self, count):
        """The classes that were answered, shape `[count]`."""
        return self._state.take(
            self._answers, np.arange(count), "predicted", np.int64
        )

    def row(self, count, standing=True):
        """The `Row` of the report.

        Args:
            count: Number of examples.
            standing: Which of them are right before this, shape `[count]`;
                True for all.
        """
        index = np.arange(count)
        correct = self._state.take(self._answers, index, "correct", bool)
        index = index[self._state.known(self._answers, index)]
        norm, inside, finite = (
            self._state.take(self._answers, index, name)
            for name in ("norm", "inside", "finite")
        )
        forwards, backwards, seconds = np.zeros(3) + self._state.cost(
            self._answers
        )
        return Row(
            self.name,
            correct & standing,
            ensemble=self.ensemble,
            largest_norm=float(np.max(norm, initial=0.0)),
            inside=bool(np.all(inside)),
            finite=bool(np.all(finite)),
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
        if self.adversary is not None:
            epsilon = multiple * np.asarray(self.adversary.threat.epsilon)
        return {**self.runner(x, y, epsilon), "label": y}

    def _put(self, stage, index, answer, keys, cost=0.0):
        if len(index):
            kept = {key: answer[key] for key in keys}
            self._state.put(stage, index, kept, cost)


def _at(multiple):
    """What no other multiple of epsilon is called."""
    return f"{float(multiple)!r} epsilon"
