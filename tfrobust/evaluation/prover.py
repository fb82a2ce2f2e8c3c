"""One verifier of a certification, which remembers its answers."""

import time

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.adversaries import nature
from tfrobust.evaluation.row import Row
from tfrobust.verifiers import AlphaCROWN, BranchAndBound
from tfrobust.verifiers.coverage import coverage


class Prover:
    """Bounds the examples of which nothing is known yet.

    Args:
        name: Its name in the report, and in the state.
        verifier: The `Verifier`.
        network: Any callable `model(x, training=False) -> logits`.
        shape: Shape of one input.
        memory: How many bytes a batch of bounds may take.
        state: The `State` that keeps the answers.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        ValueError: If one example exceeds the memory.
    """

    def __init__(self, name, verifier, network, shape, memory, state):
        self.name, self.verifier = name, verifier
        self._network, self._shape, self._state = network, shape, state
        self._answers, self._margins = (name, "bounds"), None
        self.batch_size = self._affordable(memory)

    def __call__(self, x, y, index):
        """Returns the smallest margin of each, and which it found to be wrong.

        Args:
            x: Inputs, shape `[n, ...]`.
            y: Labels, shape `[n]`.
            index: Positions of the examples in the data, shape `[n]`.
        """
        todo = np.flatnonzero(~self._state.known(self._answers, index))
        for begin in range(0, len(todo), self.batch_size):
            part = todo[begin : begin + self.batch_size]
            start = time.perf_counter()
            margins, wrong = self._bounded(x[part], y[part])
            # Minus infinity says nothing; what else is no number is a defect.
            finite = np.all(margins < np.inf, axis=1)
            np.put_along_axis(margins, y[part, np.newaxis], np.inf, axis=1)
            least = np.where(finite, np.min(margins, axis=1), -np.inf)
            self._state.put(
                self._answers,
                index[part],
                {
                    "least": least.astype(np.float32),
                    "wrong": wrong,
                    "finite": finite,
                },
                time.perf_counter() - start,
            )
            self._state.save()
        return (
            self._state.take(self._answers, index, "least"),
            self._state.take(self._answers, index, "wrong", bool),
        )

    def row(self, certified):
        """The `Row` of the report, given what is certified by now."""
        index = np.arange(len(certified))
        index = index[self._state.known(self._answers, index)]
        finite = self._state.take(self._answers, index, "finite", bool)
        return Row(
            self.name,
            certified,
            finite=bool(np.all(finite)),
            seconds=float(self._state.cost(self._answers)),
            **nature(self.verifier),
        )

    def _bounded(self, x, y):
        """Margins `[n, classes]`, and where there is a counterexample."""
        if isinstance(self.verifier, BranchAndBound):
            answer = self.verifier.answer(self._network, x, y)
            return np.array(answer.margins), answer.verdict == "falsified"
        if self._margins is None:
            self._margins = tf.function(
                lambda x, y: self.verifier.margins(self._network, x, y),
                input_signature=[
                    tf.TensorSpec([None, *self._shape]),
                    tf.TensorSpec([None], tf.int64),
                ],
                autograph=False,
            )
        margins = np.array(self._margins(x, y.astype(np.int64)))
        return margins, np.zeros(len(x), bool)

    def _affordable(self, memory):
        """How many examples, or parts of one, may be bounded at once."""
        verifier = self.verifier
        branches = isinstance(verifier, BranchAndBound)
        if branches:
            # Each part of a threat is bounded as this bounds an example.
            verifier = AlphaCROWN(verifier.threat, steps=verifier.steps)
        found = coverage(self._network, verifier, self._shape)
        if not found.complete:
            raise NotImplementedError(" ".join(found.problems))
        if found.bytes_per_example > memory:
            raise ValueError(
                f"`memory` must allow one example, for which {self.name} takes "
                f"about {found.bytes_per_example:,} bytes. Received: "
                f"memory={memory:,}. Allow more, or choose a cheaper verifier."
            )
        count = int(min(256, memory // max(1, found.bytes_per_example)))
        if branches:
            count = min(count, self.verifier.batch_size)
            self.verifier = self.verifier.replace(batch_size=count)
            return 1
        return count
