"""A specification as a network, whose last class wins where it holds."""

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.specification import Specification
from tfrobust.types import Model


class Clauses:
    """A network that asks of another one what a specification says.

    Its logits are minus the largest row of each clause, and a last one, 0. So
    the last class wins where every clause has a positive row, and not in a
    tie: what attacks labels, or decides about them, does so here.

    The maximum is bounded as `a + relu(b - a)`. Lines below this ReLU are all
    mixtures of a and b, so that a clause may be proven of which no single row
    is positive everywhere.

    Args:
        model: Any callable `model(x, training=False) -> outputs`.
        specification: The `Specification`; of rows of each example those of
            the first, until `show`.

    Attributes:
        label: The class that wins where the specification holds.
        form: The model, and what a specification must share with this one.
        order: For each clause, which of the logits is its.
        varies: Whether examples have rows of their own, for `show`.
    """

    def __init__(self, model: Model, specification: Specification) -> None:
        clauses = specification.clauses
        self.form = model, specification.rows.shape[-1], clauses
        self._model = model
        self.varies = specification.rows.ndim == 3
        sizes = [len(clause) for clause in clauses]
        ordered = np.argsort(sizes, kind="stable")
        self.label, self.order = len(clauses), np.argsort(ordered)
        # Clauses of one size beside each other, by their first rows, then by
        # their second ones.
        self._sizes, self._chosen = [], []
        by_size = itertools.groupby(ordered, key=lambda number: sizes[number])
        for size, group in by_size:
            rows = np.array([clauses[number] for number in group])
            self._sizes.append((size, len(rows)))
            self._chosen += rows.T.ravel().tolist()
        self._rows, self._offsets = (
            tf.Variable(value, trainable=False)
            for value in self._of(specification, 0)
        )

    def show(self, specification: Specification, example: int) -> None:
        """Takes the rows of one example of a specification of these clauses."""
        rows, offsets = self._of(specification, example)
        self._rows.assign(rows)
        self._offsets.assign(offsets)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = tf.cast(self._model(x, training=training), tf.float32)
        _check(outputs, self._rows.shape[0])
        values = tf.matmul(outputs, self._rows) + self._offsets
        parts, begin = [], 0
        for size, count in self._sizes:
            part = values[:, begin : begin + size * count]
            parts.append(_smallest(part, size, count))
            begin += size * count
        negated = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
        return tf.pad(negated, [[0, 0], [0, 1]])

    def _of(self, specification, example):
        """Minus the chosen rows and offsets of an example."""
        rows, offsets = specification.rows, specification.offsets
        rows = rows[example] if rows.ndim == 3 else rows
        offsets = offsets[example] if offsets.ndim == 2 else offsets
        return -rows[self._chosen].T, -offsets[self._chosen]


def served(
    before: Clauses | None, model: Model, specification: Specification
) -> Clauses:
    """`Clauses` of a model, those of before if they are of the same form."""
    form = model, specification.rows.shape[-1], specification.clauses
    if before is not None and before.form == form:
        return before
    return Clauses(model, specification)


def by_example(
    verifier: Any, clauses: Clauses, specification: Specification, x: tf.Tensor
) -> list:
    """What a verifier answers of `Clauses`, with the rows of each example.

    Args:
        verifier: The verifier, whose `answer_labels(model, x, y)` is asked.
        clauses: The `Clauses`.
        specification: A `Specification` of these clauses.
        x: Inputs, shape `[batch, ...]`.

    Returns:
        A list of answers: one for all inputs if they share their rows,
        otherwise one for each.
    """
    clauses.show(specification, 0)
    if specification.rows.ndim == 2:
        y = np.full(len(x), clauses.label)
        return [verifier.answer_labels(clauses, x, y)]
    answers = []
    for example in range(len(x)):
        clauses.show(specification, example)
        alone = verifier.replace(threat=_of_one(verifier.threat, x, example))
        one, y = x[example : example + 1], np.array([clauses.label])
        answers.append(alone.answer_labels(clauses, one, y))
    return answers


def _of_one(threat, x, example):
    """The threat of one example of x."""
    own = {}
    for name in (*threat.per_example, "low", "high"):
        values = getattr(threat, name)
        shape = tuple(getattr(values, "shape", ()))
        if len(shape) in (1, len(x.shape)) and shape[0] == len(x):
            own[name] = values[example : example + 1]
    return threat._replace(**own)


def _smallest(values, size, count):
    """The smallest of every `size` values, `[batch, count]`, by halves."""
    while size > 1:
        half = size // 2
        first, second = (
            values[:, part * half * count : (part + 1) * half * count]
            for part in (0, 1)
        )
        least = tf.minimum(first, second)
        if size % 2:
            least = tf.concat([least, values[:, 2 * half * count :]], axis=1)
        values, size = least, size - half
    return values


def _check(outputs, expected):
    if outputs.shape.rank != 2 or outputs.shape[-1] != expected:
        raise ValueError(
            f"The specification is about {expected} outputs, so the model "
            f"must give the shape [batch, {expected}]. Received: "
            f"{tuple(outputs.shape)}"
        )
