"""A dataset's way through the stages of an evaluation."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, halves
from tfrobust.evaluation.adversaries import surrogates
from tfrobust.evaluation.network import Network
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.stage import Stage
from tfrobust.progress import Progress


class Run:
    """Takes a dataset through stages, batch after batch.

    Answers are kept by example, in the state; of the data only what is asked
    for. Each stage runs on what it needs by the answers before it.

    Args:
        model: The callable of logits.
        adversaries: Dictionary of name to `Adversary`.
        source: The `Provenance`.
        state: The `State` that keeps the answers.
        plan: Called once with this run, when shapes are known; makes the
            stages that follow the clean one.
        kept: How many examples to keep, the first ones.
        largest: The most examples that a batch may have, if that is known.

    Attributes:
        network: The `Network` that is attacked.
        classes: Its number of classes.
        clean: The `Stage` of the clean inputs.
        stages: All stages, in their order.
        sequences: Those of an evaluation; see `Sequence`.
        count: Number of examples so far.
    """

    def __init__(
        self,
        model,
        adversaries,
        source,
        state,
        plan,
        kept=0,
        largest=halves.LEAST,
    ):
        self.model, self.adversaries = model, adversaries
        self.source, self.state, self._plan = source, state, plan
        self.kept, self._largest = kept, largest
        self.network: Any = None
        self.stages: list[Stage] = []
        self.sequences: list[Any] = []
        self.count, self._labels = 0, []
        self._first: list[Any] = []

    def over(self, batches, total, verbose):
        """Runs every stage on every batch.

        Args:
            batches: Pairs of arrays; labels have the shape `[batch, 1]`.
            total: Number of batches, if that is known.
            verbose: 1 shows a progress bar, 0 is silent.
        """
        bar = None
        for x, y in batches:
            x, y = self._begin(x, y)
            bar = bar or Progress(
                self._title(), total and total * len(self.stages), verbose
            )
            self._add(x, y, bar)
        if not self.count:
            raise ValueError("`data` must hold at least one example.")

    def stage(self, name, adversary, needed, ensemble=None, memory=None):
        """A `Stage` of this run."""
        runner = Runner(
            self.network, adversary, self._shape, self._largest, memory
        )
        return Stage(name, runner, self.state, needed, ensemble)

    def labels(self):
        """All labels, shape `[count]`."""
        return np.concatenate(self._labels)

    def predicted(self):
        """The classes that were answered to the clean inputs, `[count]`."""
        return self.clean.take("predicted", np.arange(self.count), np.int64)

    def first(self):
        """Inputs and labels of the first examples, as many as are kept."""
        x, y = zip(*self._first, strict=True)
        return np.concatenate(x), np.concatenate(y)

    def _title(self):
        stages = ", ".join(stage.name for stage in self.stages)
        return f"{self.source.name}: {stages}"

    def _begin(self, x, y):
        """Checks a batch, and what it is to go through."""
        for adversary in self.adversaries.values():
            adversary.threat.checked(x)
        x = x.astype(np.float32)
        if self.network is None:
            self._shape = x.shape[1:]
            self.network = Network(self.model, self._shape)
            self.classes = self.network(x[:1]).shape[-1]
        y = np.array(checks.labels(y, tf.zeros([len(x), self.classes])))
        self.state.check_data(self.count + np.arange(len(x)), x, y)
        if not self.stages:
            others = surrogates(self.adversaries.values())
            self.state.check_models([self.network, *others], x[:4])
            self.clean = self.stage("clean", None, np.ones_like)
            self.stages = [self.clean, *self._plan(self)]
        return x, y

    def _add(self, x, y, bar):
        index = self.count + np.arange(len(x))
        for stage in self.stages:
            todo = np.flatnonzero(stage.needed(index))
            stage(x[todo], y[todo], index[todo])
            bar.step()
        self.source.add(x, y)
        self._labels.append(y)
        room = max(0, self.kept - self.count)
        if room:
            # A copy: a view would keep the whole batch alive.
            self._first.append((x[:room].copy(), y[:room].copy()))
        self.count += len(x)
